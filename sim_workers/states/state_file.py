"""Making a state file that SUMO wrote continue exactly, and giving it its id.

What else an exact continuation needs (options at saving, process start) is in
:mod:`sim_workers.engine.simulation`.
"""

import hashlib
import re

from shared.errors import StateFileError

__all__ = ["check_version", "make_state_id", "normalise_state", "version_and_time", "without_rng"]

_HEADER_COMMENT = re.compile(rb"<!--.*?-->\s*(?=<snapshot\b)", re.DOTALL)
_NOBODY = re.compile(rb'\s*<transportables type="person" state="[0 ]*"/>')
_SNAPSHOT = re.compile(rb'<snapshot\b[^>]*?\bversion="([^"]*)"[^>]*?\btime="([^"]*)"')
_RNG = re.compile(rb"<rngState\b.*?</rngState>\s*|<rngState\b[^>]*/>\s*", re.DOTALL)
_DECIMALS = re.compile(rb"(-?\d+\.\d{30})")
_HEAD_BYTES = 65_536


def normalise_state(content: bytes) -> bytes:
    """Makes a saved state continue exactly and depend on its content alone.

    - The comment at its top, with the date and this machine's paths, is removed.
    - Numbers written with thirty decimals are written as shortly as the same double can be: a file
      of a network with rerouting is a quarter as large then, and loads a third faster.
    - That there are no persons is not said: SUMO says so once somebody has asked for them.

    What it needs beside the file, :mod:`sim_workers.states.unread_demand` knows.

    Raises:
        StateFileError: This is no SUMO state.
    """
    content = _NOBODY.sub(b"", _HEADER_COMMENT.sub(b"", content, count=1), count=1)
    content = _shortened(content)
    version_and_time(content)
    return content


def check_version(content: bytes, sumo_version: str) -> None:
    """Refuses a state of another SUMO version, which would continue differently or not at all.

    Raises:
        StateFileError: ``state_of_other_version``, or this is no SUMO state.
    """
    found, _ = version_and_time(content)
    if found != sumo_version:
        raise StateFileError(
            f"the state was saved by SUMO {found}, but this is SUMO {sumo_version}; rebuild the "
            "dataset with this version",
            "state_of_other_version",
        )


def make_state_id(scenario_name: str, time_s: float, content: bytes) -> str:
    """``<scenario name>@<time_s>-<12 hex of the SHA-256 of the state file>``.

    >>> make_state_id("crossing", 600.0, b"")
    'crossing@600-e3b0c44298fc'
    """
    time = str(int(time_s)) if time_s == int(time_s) else repr(time_s)
    return f"{scenario_name}@{time}-{hashlib.sha256(content).hexdigest()[:12]}"


def without_rng(content: bytes) -> bytes:
    """A state without the positions of its random generators, which then start from the seed."""
    return _RNG.sub(b"", content, count=1)


class _Shortest(dict[bytes, bytes]):
    """The shortest text of the double that a text stands for; most texts occur many times."""

    def __missing__(self, text: bytes) -> bytes:
        short = repr(float(text)).removesuffix(".0").encode()
        self[text] = short
        return short


def _shortened(content: bytes) -> bytes:
    parts = _DECIMALS.split(content)  # text, number, text, …: a third faster than to substitute
    parts[1::2] = map(_Shortest().__getitem__, parts[1::2])
    return b"".join(parts)


def version_and_time(content: bytes) -> tuple[str, str]:
    """The version and the time that a state file names.

    Raises:
        StateFileError: This is no SUMO state.
    """
    match = _SNAPSHOT.search(content[:_HEAD_BYTES])
    if match is None:
        raise StateFileError("this is not a SUMO state file: it has no <snapshot>")
    return match[1].decode(), match[2].decode()
