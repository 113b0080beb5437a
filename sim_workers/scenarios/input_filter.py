"""What a stranger's SUMO file may contain: :func:`filter_input` accepts only what is harmless.

The caller's bytes are kept as they are, because SUMO draws random numbers while it reads and every
digit counts. Only the names of output files are overwritten, with ``/dev/null``, and each is
reported. Whatever cannot be made harmless in this way is refused by name.

Names are read as SUMO reads them: qualified, without namespaces. To SUMO,
``<flow xmlns="…">`` is a flow and ``<ns0:flow>`` is nothing; the content of the latter counts as if
it were outside it.

What is accepted is listed by element: :mod:`sim_workers.scenarios.sumo_names` has the attributes,
and this module the keys of ``<param>``. Keys that SUMO does not read are the caller's own business.
Where SUMO opens files named by a key (traffic lights, devices of vehicles), only listed keys are
accepted, and a key that looks like a file is accepted nowhere.

The caller has to deal with unpacking, links, and whether referenced files exist.

Codes of refusals: ``bad_xml`` (not XML, DTDs and entities, encodings other than UTF-8, ASCII and
Latin-1), ``unknown_element``, ``unknown_attribute``, ``unknown_parameter``, ``writes_files``,
``outside_bundle``.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NoReturn
from xml.parsers import expat

from shared.errors import ScenarioError
from sim_workers.scenarios.sumo_names import known_attributes

__all__ = ["OUTPUTS", "REFERENCES", "Filtered", "filter_input"]

_NOWHERE = b"/dev/null"
_SILENT = ("", "/dev/null", "NUL")
_PIECE_BYTES = 1 << 20
_MAX_DEPTH = 64
_ENCODINGS = ("utf-8", "us-ascii", "ascii", "iso-8859-1", "latin1", "latin-1")
_TAG = re.compile(rb"<[^\s/>]+")
_ATTRIBUTE = re.compile(rb"""\s+([^\s=<>"'/]+)\s*=\s*(?:"([^"]*)"|'([^']*)')""")

OUTPUTS = {
    "calibrator": "output",
    "e1Detector": "file",
    "e2Detector": "file",
    "e3Detector": "file",
    "edgeData": "file",
    "entryExitDetector": "file",
    "inductionLoop": "file",
    "instantInductionLoop": "file",
    "laneAreaDetector": "file",
    "laneData": "file",
    "routeProbe": "file",
    "timedEvent": "dest",
    "vTypeProbe": "file",
}
"""The attribute that names an output file, by element."""
REFERENCES = {
    "calibrator": "file",
    "edgeData": "edgesFile",
    "include": "href",
    "laneData": "edgesFile",
    "rerouter": "file",
    "variableSpeedSign": "file",
}
"""What makes SUMO read another file."""
_PASSED_OVER = re.compile(r"begin(Lane|Pos|Speed)|reroute|departSp\d+d")
"""Attributes that SUMO does not read: from old versions, and mistakes in well-known examples."""
_SCHEMA = re.compile(
    r"https?://(sumo\.dlr\.de|sumo\.sf\.net|sumo-sim\.org|eclipse\.dev/sumo)/xsd/\w+\.xsd"
)
_ELSEWHERE = re.compile(r"^[/\\]|^[A-Za-z]:|(^|[/\\])\.\.([/\\]|$)|[$%\x00-\x1f]|://")
"""Absolute paths, paths upwards, and what SUMO replaces in names."""

_VEHICLE_LIKE = frozenset(
    {"container", "containerFlow", "flow", "person", "personFlow", "trip", "vType", "vehicle"}
)
_DEVICES = (
    "battery|bluelight|btreceiver|btsender|driverstate|elechybrid|emissions|fcd|friction|glosa|"
    "rerouting|routing|ssm|stationfinder|taxi|toc|tripinfo|vehroute"
)
_DEVICE_KEY = re.compile(rf"has\.({_DEVICES})\.device|device\.({_DEVICES})(\.[\w-]+)+")
_ABOUT_DEVICES = re.compile(r"(has|device|person-device)\.", re.IGNORECASE)
_ABSENT_DEVICE = re.compile(r"has\.[\w-]+\.device")
_DEVICE_OUTPUTS = ("device.ssm.file", "device.toc.file")
"""For SSM devices that name no file, an option in every scenario discards the output."""
_OFF = ("0", "f", "false", "no", "off")
_LIKE_A_FILE = re.compile(
    r".*(file|files|filename|output|log)|(.*[._-])?(path|dir|host|server|port)", re.IGNORECASE
)
_PROGRAMS = frozenset(
    """
    static actuated delay_based NEMA off rail_signal rail_crossing
    sotl_phase sotl_platoon sotl_marching sotl_wave sotl_request
    """.split()  # noqa: SIM905  a list to be read
)
"""Types of traffic lights. The swarm type is missing because it writes a log."""
_PROGRAM_KEYS = frozenset(
    """
    GSP TSP barrier2Phases barrierPhases build-all-detectors cabinetType controllerType
    coordinate-mode coordinatePhases coordinated cycleTime detector-gap detector-length
    detector-length-leftTurnLane detector-range detectorRange exitRange extendMaxDur fixForceOff
    freq hide-conflicts ignore-errors inactive-threshold jam-threshold latching max-gap maxGap
    maxRecall minRecall minTimeLoss minTimeloss offset passing-time period queueDischarge ring1
    ring2 show-detectors showDetectors total-cycle-length vTypes
    """.split()  # noqa: SIM905  a list to be read
)
_PROGRAM_KEY_PATTERN = re.compile(
    r"(max-gap|detector-gap|passing-time|jam-threshold|detector-length|inactive-threshold|"
    r"linkMaxDur|linkMinDur):.+|B\d+\.(begin|end|factor)|hotkey[A-Z]\w*|.+_\d+|[A-Z][A-Z0-9_]*"
)
"""Keys for a single lane or link, lane ids (which name detectors), and keys of SOTL programs."""


@dataclass(frozen=True)
class Filtered:
    """A harmless file."""

    content: bytes
    """The content as given, except for what was replaced."""
    replaced: tuple[str, ...] = ()
    """The names of output files that were overwritten."""
    references: tuple[str, ...] = ()
    """Other files that SUMO will read, named relative to this one, and not above it."""


def filter_input(content: bytes, name: str = "the file") -> Filtered:
    """Checks one unpacked input or state file, and discards its outputs.

    Takes memory for at most twice the content, and time linear in its length.

    Args:
        content: The file.
        name: What messages call it.

    Raises:
        ScenarioError: The file is refused; see above for the codes.
    """
    return _Filter(content, name).run()


@dataclass
class _Filter:
    """Goes through a file once."""

    _content: bytes
    _name: str
    _open: list[str] = field(default_factory=list)
    """Elements that SUMO knows, from the root to here; empty names stand for others."""
    _replaced: list[str] = field(default_factory=list)
    _references: list[str] = field(default_factory=list)
    _ranges: list[tuple[int, int]] = field(default_factory=list)
    """Ranges of bytes to overwrite, in order."""

    def run(self) -> Filtered:
        if b"\0" in self._content:
            self._refuse("bad_xml", "it is not in UTF-8, ASCII or Latin-1")
        self._parser = parser = expat.ParserCreate()
        parser.ordered_attributes = True
        parser.XmlDeclHandler = self._declare
        parser.StartDoctypeDeclHandler = self._define
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        try:
            for at in range(0, len(self._content), _PIECE_BYTES):
                parser.Parse(self._content[at : at + _PIECE_BYTES], False)
            parser.Parse(b"", True)
        except (expat.ExpatError, LookupError, ValueError) as exc:
            raise ScenarioError(f"{self._name} is not usable XML: {exc}", "bad_xml") from exc
        content = b"".join(self._pieces())
        return Filtered(content, tuple(self._replaced), tuple(self._references))

    def _pieces(self) -> Iterator[bytes]:
        at = 0
        for begin, end in self._ranges:
            yield self._content[at:begin]
            yield _NOWHERE
            at = end
        yield self._content[at:]

    def _declare(self, version: str, encoding: str | None, standalone: int) -> None:
        if version != "1.0" or (encoding or "utf-8").lower() not in _ENCODINGS:
            self._refuse("bad_xml", f"it is XML {version} in {encoding}; write it as UTF-8")

    def _define(self, *_: object) -> None:
        self._refuse("bad_xml", "it has a document type; remove <!DOCTYPE …>")

    def _start(self, element: str, given: list[str]) -> None:
        attributes = dict(zip(given[::2], given[1::2], strict=True))
        for prefixed in [name for name in attributes if ":" in name or name == "xmlns"]:
            self._pass_over(element, prefixed, attributes.pop(prefixed))
        if len(self._open) >= _MAX_DEPTH:
            self._refuse("bad_xml", f"its elements are nested more than {_MAX_DEPTH} deep")
        if self._means_nothing(element, attributes):
            self._open.append("")
            return
        known = known_attributes().get(element)
        if known is None:
            self._refuse(
                "unknown_element", f"the effect of <{element}> in SUMO has not been reviewed"
            )
        if element == "param":
            self._take_parameter(attributes)
        else:
            self._take(element, attributes, known)
        self._open.append(element)

    def _end(self, element: str) -> None:
        self._open.pop()

    def _pass_over(self, element: str, attribute: str, value: str) -> None:
        """Accepts an attribute that SUMO does not read; its parser may still read a schema."""
        if attribute.lower().endswith("schemalocation") and not _SCHEMA.fullmatch(value.strip()):
            self._refuse("outside_bundle", f"<{element} {attribute}> names {value!r}")

    def _means_nothing(self, element: str, attributes: dict[str, str]) -> bool:
        """Whether SUMO ignores an element, though not its content.

        This holds for prefixed names, for roots of any name, and for options recorded by tools.
        """
        if element in known_attributes():
            return False
        is_option = "metadata" in self._open and attributes.keys() <= {"value"}
        is_root = not self._open and attributes.keys() <= {"version"}
        return ":" in element or is_option or is_root

    def _take(self, element: str, attributes: dict[str, str], known: frozenset[str]) -> None:
        if element == "tlLogic" and attributes.get("type", "static") not in _PROGRAMS:
            words = f"a traffic light of type {attributes['type']!r} may write files"
            self._refuse("writes_files", words)
        for attribute, value in attributes.items():
            if attribute == OUTPUTS.get(element):
                self._silence(element, attribute, value)
            elif attribute == REFERENCES.get(element):
                self._refer(element, attribute, value)
            elif attribute not in known and not _is_harmless_anywhere(attribute):
                words = f"the effect of {attribute!r} in <{element}> in SUMO has not been reviewed"
                self._refuse("unknown_attribute", words)

    def _take_parameter(self, attributes: dict[str, str]) -> None:
        owner = next((name for name in reversed(self._open) if name), "")
        for attribute in attributes:
            if attribute not in ("key", "value"):
                self._refuse("unknown_attribute", f"{attribute!r} in <param>")
        key, value = attributes.get("key", ""), attributes.get("value", "")
        if owner == "tlLogic":
            self._take_program_key(key, value)
        elif _ABOUT_DEVICES.match(key):
            self._take_device_key(owner, key, value)
        elif _LIKE_A_FILE.fullmatch(key):
            self._refuse("writes_files", f"<param> {key!r} of <{owner}> names a file")

    def _take_program_key(self, key: str, value: str) -> None:
        if key == "file":
            self._silence("tlLogic", "value", value)
        elif _LIKE_A_FILE.fullmatch(key):
            self._refuse("writes_files", f"<param> {key!r} of <tlLogic> names a file")
        elif key not in _PROGRAM_KEYS and not _PROGRAM_KEY_PATTERN.fullmatch(key):
            self._refuse(
                "unknown_parameter",
                f"the effect of <param> {key!r} in <tlLogic> in SUMO has not been reviewed",
            )

    def _take_device_key(self, owner: str, key: str, value: str) -> None:
        if _ABSENT_DEVICE.fullmatch(key) and value.strip().lower() in _OFF:
            return
        if owner not in _VEHICLE_LIKE or not _DEVICE_KEY.fullmatch(key):
            self._refuse("writes_files", f"<param> {key!r} of <{owner}> may write files")
        if key in _DEVICE_OUTPUTS:
            self._silence(owner, "value", value)
        elif _LIKE_A_FILE.fullmatch(key):
            self._refuse("writes_files", f"<param> {key!r} of <{owner}> names a file")

    def _refer(self, element: str, attribute: str, value: str) -> None:
        if not value.strip() or _ELSEWHERE.search(value):
            self._refuse(
                "outside_bundle",
                f"<{element} {attribute}> names {value!r}; use the relative path of a file next "
                "to it",
            )
        self._references.append(value)

    def _silence(self, element: str, attribute: str, value: str) -> None:
        """Overwrites the value of an attribute of the element that begins here."""
        if value in _SILENT:
            return
        wanted, at = attribute.encode(), self._parser.CurrentByteIndex
        if tag := _TAG.match(self._content, at):
            at = tag.end()
        while found := _ATTRIBUTE.match(self._content, at):
            if found[1] == wanted:
                group = 2 if found[2] is not None else 3
                self._ranges.append(found.span(group))
                self._replaced.append(value)
                return
            at = found.end()
        self._refuse("bad_xml", f"{attribute!r} of <{element}> is not where it should be")

    def _refuse(self, code: str, words: str) -> NoReturn:
        line = f", line {self._parser.CurrentLineNumber}" if hasattr(self, "_parser") else ""
        raise ScenarioError(f"{self._name}{line}: {words}", code)


def _is_harmless_anywhere(attribute: str) -> bool:
    """Whether an attribute of other elements is not a file there, so that it is not one here."""
    is_known = any(attribute in known for known in known_attributes().values())
    is_file = attribute in {*OUTPUTS.values(), *REFERENCES.values()}
    is_file = is_file or _LIKE_A_FILE.fullmatch(attribute) is not None
    return (is_known or _PASSED_OVER.fullmatch(attribute) is not None) and not is_file
