"""Making state files written by SUMO continue exactly, and giving them their ids.

The rest of what an exact continuation needs (options for saving, process start) is in
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
    """Makes a saved state continue exactly, and depend on nothing but its content.

    - The comment at the top, with the date and this machine's paths, is removed.
    - Numbers with thirty decimals are replaced by the shortest text for the same double: with
      rerouting, the file is then a quarter as large and loads a third faster.
    - The statement that there are no persons is removed: SUMO only writes it if somebody has asked
      for persons.

    :mod:`sim_workers.states.unread_demand` provides what is needed besides the file.

    Raises:
        StateFileError: This is not a SUMO state.
    """
    content = _NOBODY.sub(b"", _HEADER_COMMENT.sub(b"", content, count=1), count=1)
    content = _shortened(content)
    version_and_time(content)
    return content


def check_version(content: bytes, sumo_version: str) -> None:
    """Refuses a state of another SUMO version, which would continue differently or not at all.

    Raises:
        StateFileError: ``state_of_other_version``, or this is not a SUMO state.
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
    """The shortest text for the same double as a given text; most texts occur many times."""

    def __missing__(self, text: bytes) -> bytes:
        short = repr(float(text)).removesuffix(".0").encode()
        self[text] = short
        return short


def _shortened(content: bytes) -> bytes:
    parts = _DECIMALS.split(content)  # text, number, text, …: a third faster than substituting
    parts[1::2] = map(_Shortest().__getitem__, parts[1::2])
    return b"".join(parts)


def version_and_time(content: bytes) -> tuple[str, str]:
    """The version and the time that a state file names.

    Raises:
        StateFileError: This is not a SUMO state.
    """
    match = _SNAPSHOT.search(content[:_HEAD_BYTES])
    if match is None:
        raise StateFileError("this is not a SUMO state file: it has no <snapshot>")
    return match[1].decode(), match[2].decode()
