"""State files from elsewhere, which are checked before SUMO or anything else reads them.

SUMO trusts its state files. One may include other files, and may contain vehicles that write files
anywhere. Such files are refused here, and so is content that could confuse other readers, which
search for patterns. From a harmless file, everything that it says is read.
"""

import math
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from io import BytesIO
from xml.etree.ElementTree import Element, ParseError

import defusedxml.ElementTree as SafeXml

from shared.errors import ScenarioError, StateFileError
from shared.signals import SignalState
from sim_workers.engine.version import sumo_version
from sim_workers.scenarios.files import is_file_attribute, is_output_parameter
from sim_workers.scenarios.input_filter import filter_input
from sim_workers.states.state_file import check_version, normalise_state

__all__ = ["ForeignState", "gunzip", "read_foreign_state", "refuse_harm"]

_GZIP_MAGIC = b"\x1f\x8b"
_DECLARATION = re.compile(rb"<\?xml [^<>]*\?>")
_UTF8 = re.compile(rb"encoding=[\"'](utf-8|us-ascii)[\"']", re.IGNORECASE)
_ALONE = (b"<!--", b"<![CDATA[", b"<!DOCTYPE", b"<!ENTITY", b"<?")
"""Markup that SUMO never writes, except before the ``<snapshot>``."""
_MS = 1000
_SUSPICIOUS = re.compile(
    rb"<param|<include|<!|[Ff]ile\s*=|href\s*=|output\s*=|dest\s*=|SWARMLOG|<\w*[dD]etector"
)


@dataclass(frozen=True)
class ForeignState:
    """A harmless state file, and what it says."""

    content: bytes
    """The content, normalised by :func:`sim_workers.states.state_file.normalise_state`."""
    time_s: float
    """The time that it states, in seconds; the true time is known only to SUMO."""
    shown_s: Mapping[tuple[str, str], float] = field(default_factory=dict)
    """For how long the current phase has been shown, by signal and program, seconds. A restored
    simulation does not know this; the file does, to the millisecond."""

    def signal_states(self, seen: Mapping[str, SignalState]) -> dict[str, SignalState]:
        """The states of the signals, with the time for which each phase had been shown.

        Args:
            seen: The states in a simulation restored from the file.

        Returns:
            The states whose time is known. A signal without a time in the file is left out, and
            cannot be decided.
        """
        return {
            tls_id: state.model_copy(update={"elapsed_s": self.shown_s[tls_id, state.program_id]})
            for tls_id, state in seen.items()
            if (tls_id, state.program_id) in self.shown_s
        }


def read_foreign_state(given: bytes, max_bytes: int) -> ForeignState:
    """Checks a state file, plain or gzipped.

    Args:
        given: The file.
        max_bytes: Maximum size when unpacked.

    Raises:
        StateFileError: It is not a state file, is damaged, would make SUMO read or write files, is
            from another version (``state_of_other_version``), or is too large (``too_large``).
    """
    content = _checked_head(gunzip(given, max_bytes))
    refuse_harm(content)
    reader = _Reader()
    reader.read(content)
    check_version(content, sumo_version())
    return ForeignState(normalise_state(content), reader.time_s, reader.shown_s)


def refuse_harm(content: bytes) -> None:
    """Checks that a state does not make SUMO read or write another file.

    The states that SUMO writes contain nothing that could; anything that might is inspected.

    Raises:
        StateFileError: It would read or write one.
    """
    if _SUSPICIOUS.search(content) is None:
        return
    try:
        found = filter_input(content, "the state file")
    except ScenarioError as exc:
        raise StateFileError(exc.message) from exc
    if found.replaced or found.references:
        raise StateFileError("the state file names another file")


def _checked_head(content: bytes) -> bytes:
    """The content without what precedes the root, the only place where SUMO writes comments.

    This is done before any pattern matching, because text made for the purpose can make that take
    for ever.
    """
    begin = content.find(b"<snapshot")
    if begin < 0:
        raise StateFileError("this is not a SUMO state file: it has no <snapshot>")
    head, body = content[:begin], content[begin:]
    declared = _DECLARATION.match(head)
    if declared and b"encoding" in declared[0] and not _UTF8.search(declared[0]):
        raise StateFileError("the state file is not UTF-8")
    for mark in _ALONE:
        if mark in body or (mark.startswith(b"<!D") and mark in head):
            raise StateFileError(
                f"the state file contains {mark.decode()}, which SUMO never writes"
            )
    return b'<?xml version="1.0" encoding="UTF-8"?>\n\n' + body


class _Reader:
    """Goes through the elements of a state once, without keeping them."""

    def __init__(self) -> None:
        self.time_s = 0.0
        self.shown_s: dict[tuple[str, str], float] = {}
        self._rng_states = 0

    def read(self, content: bytes) -> None:
        """Reads a file.

        Raises:
            StateFileError: It is damaged, or would make SUMO read or write files.
        """
        try:
            events = SafeXml.iterparse(BytesIO(content), events=("start", "end"), forbid_dtd=True)
            open_elements: list[Element] = []
            for event, element in events:
                if event == "start":
                    self._take(element, len(open_elements))
                    open_elements.append(element)
                    continue
                open_elements.pop()
                if open_elements:
                    open_elements[-1].remove(element)
        except (ParseError, LookupError, ValueError) as exc:
            raise StateFileError(f"the state file is not usable XML: {exc}") from exc

    def _take(self, element: Element, depth: int) -> None:
        _refuse_harmful(element)
        if depth == 0:
            if element.tag != "snapshot":
                raise StateFileError("this is not a SUMO state file: its root is not <snapshot>")
            self.time_s = float(element.get("time", "nan"))
            if not math.isfinite(self.time_s):
                raise StateFileError("the state file does not name its time")
        elif element.tag == "tlLogic":
            key = (element.get("id", ""), element.get("programID", ""))
            shown_s = float(element.get("duration", "nan")) / _MS
            if math.isfinite(shown_s) and shown_s >= 0:
                self.shown_s[key] = shown_s
        elif element.tag == "rngState":
            self._rng_states += 1
            if self._rng_states > 1:
                raise StateFileError("the state file contains two <rngState>")


def _refuse_harmful(element: Element) -> None:
    """Refuses an element that makes SUMO read or write another file."""
    for attribute in element.attrib:
        if is_file_attribute(attribute) or attribute in ("output", "dest"):
            raise StateFileError(f"the state file names another file: <{element.tag} {attribute}>")
    key = element.get("key", "")
    if element.tag == "param" and is_output_parameter(key):
        raise StateFileError(
            f"the state file makes a vehicle write files ({key}); save it without that"
        )


def gunzip(content: bytes, max_bytes: int) -> bytes:
    """Unpacks a state file if it is a gzip file, which has to be complete.

    Raises:
        StateFileError: It is damaged; ``too_large``.
    """
    if not content.startswith(_GZIP_MAGIC):
        return content
    unpacker = zlib.decompressobj(wbits=31)
    try:
        unpacked = unpacker.decompress(content, max_bytes + 1)
    except zlib.error as exc:
        words = f"the state file: this is not a complete gzip file: {exc}"
        raise StateFileError(words) from exc
    if len(unpacked) > max_bytes:
        words = f"the state file: it unpacks to more than {max_bytes} bytes"
        raise StateFileError(words, "too_large")
    if not unpacker.eof or unpacker.unused_data:
        raise StateFileError("the state file: this is not a single complete gzip file")
    return unpacked
