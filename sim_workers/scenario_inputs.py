"""The input files of a scenario: plain or gzipped XML, bounded, without outputs, demand apart."""

import gzip
import re
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree.ElementTree import Element, ParseError, tostring

import defusedxml.ElementTree as SafeXml

from shared.errors import ScenarioError

__all__ = ["ScenarioInputs", "read_inputs"]

_MAX_BYTES = 1 << 30
_GZIP_MAGIC = b"\x1f\x8b"
_FLOW = re.compile(rb"<(flow|personFlow|containerFlow)\b")
_DEMAND_TAGS = {
    "container",
    "containerFlow",
    "flow",
    "person",
    "personFlow",
    "trip",
    "vehicle",
}
_OUTPUT_ATTRIBUTES = {
    "calibrator": ("output",),
    "e1Detector": ("file",),
    "e2Detector": ("file",),
    "e3Detector": ("file",),
    "edgeData": ("file",),
    "entryExitDetector": ("file",),
    "inductionLoop": ("file",),
    "instantInductionLoop": ("file",),
    "laneAreaDetector": ("file",),
    "laneData": ("file",),
    "routeProbe": ("file",),
    "timedEvent": ("dest",),
    "vTypeProbe": ("file",),
}
_NOWHERE = "NUL"
"""SUMO's name, on every platform, for a file that is not written."""


@dataclass(frozen=True)
class ScenarioInputs:
    """Input files under their new names, by what they hold."""

    files: dict[str, bytes] = field(default_factory=dict)
    networks: list[str] = field(default_factory=list)
    additional: list[str] = field(default_factory=list)
    demand: list[str] = field(default_factory=list)
    taken_out: list[str] = field(default_factory=list)
    """The demand that stood in additional files, which may be in any order."""

    def run_options(self) -> dict[str, str]:
        """The options with which the scenario runs."""
        if self._is_demand_in_states():
            return self._options(self.additional + self.demand, [])
        return self._options(self.additional, self.demand)

    def restore_options(self) -> dict[str, str]:
        """The options with which a saved state of it continues."""
        if self._is_demand_in_states():
            return self._options(self.additional, [])
        return self._options(self.additional, self.demand)

    def _is_demand_in_states(self) -> bool:
        has_flow = any(_FLOW.search(self.files[name]) for name in self.demand)
        return has_flow or bool(self.taken_out)

    def _options(self, additional: list[str], demand: list[str]) -> dict[str, str]:
        given = {
            "net-file": self.networks,
            "additional-files": additional,
            "route-files": demand,
        }
        return {option: ",".join(names) for option, names in given.items() if names}


def read_inputs(folder: Path, given: Mapping[str, str]) -> ScenarioInputs:
    """Reads every input file.

    Args:
        folder: What relative paths are relative to.
        given: For each of the file options, the paths as the configuration lists them.

    Raises:
        ScenarioError: ``missing_file``, ``bad_xml``, ``too_large`` or ``unsupported_input``.
    """
    inputs = ScenarioInputs()
    for path in _paths(folder, given["net-file"]):
        _add(inputs.files, inputs.networks, "network{}.net.xml", _xml(_read(path)))
    for path in _paths(folder, given["additional-files"]):
        infrastructure, demand = _split(_read(path))
        _add(inputs.files, inputs.additional, "additional{}.add.xml", infrastructure)
        if demand is not None:
            _add(inputs.files, inputs.demand, "demand{}.rou.xml", demand)
            inputs.taken_out.append(inputs.demand[-1])
    for path in _paths(folder, given["route-files"]):
        _add(inputs.files, inputs.demand, "demand{}.rou.xml", _xml(_read(path)))
    return inputs


def _paths(folder: Path, value: str) -> Iterator[Path]:
    return (folder / part.strip() for part in re.split(r"[,;]", value) if part.strip())


def _add(files: dict[str, bytes], names: list[str], pattern: str, content: bytes) -> None:
    names.append(pattern.format(len(names)))
    files[names[-1]] = content


def _read(path: Path) -> Element:
    """The content of a file, without outputs.

    Every file is parsed, because SUMO accepts detectors and ``<include>`` in each kind of file and
    in any encoding.
    """
    if not path.is_file():
        raise ScenarioError(f"the scenario needs {path}, which does not exist", "missing_file")
    try:
        root: Element = SafeXml.fromstring(_unpack(path, path.read_bytes()), forbid_dtd=True)
    except (ParseError, LookupError, ValueError) as exc:  # what is unsafe is a ValueError, too
        raise ScenarioError(f"{path} is not XML that can be used: {exc}", "bad_xml") from exc
    _silence(path, root)
    return root


def _unpack(path: Path, content: bytes) -> bytes:
    if not content.startswith(_GZIP_MAGIC):
        return content
    try:
        with gzip.open(path) as packed:
            content = packed.read(_MAX_BYTES + 1)
    except (OSError, EOFError, zlib.error) as exc:
        raise ScenarioError(f"{path} is not a whole gzip file: {exc}", "bad_xml") from exc
    if len(content) > _MAX_BYTES:
        raise ScenarioError(f"{path} unpacks to more than {_MAX_BYTES} bytes", "too_large")
    return content


def _split(root: Element) -> tuple[bytes, bytes | None]:
    """An additional file without demand, and the demand it held, if any."""
    demand = Element("routes")
    for child in [child for child in root if child.tag in _DEMAND_TAGS]:
        root.remove(child)
        demand.append(child)
    return _xml(root), _xml(demand) if len(demand) else None


def _silence(path: Path, root: Element) -> None:
    """Takes out every output that a file asks SUMO for."""
    for element in root.iter():
        if element.tag == "include":
            words = f"{path} includes other files; put them into one"
            raise ScenarioError(words, "unsupported_input")
        for param in [child for child in element if _is_output(child)]:
            element.remove(param)
        outputs = _OUTPUT_ATTRIBUTES.get(element.tag, ())
        for attribute in outputs:
            if attribute in element.attrib:
                element.set(attribute, _NOWHERE)
        element.attrib.pop("imgFile", None)
        if "file" in element.attrib and "file" not in outputs:
            raise ScenarioError(
                f"{path}: <{element.tag}> reads another file, which is not supported",
                "unsupported_input",
            )


def _is_output(element: Element) -> bool:
    """Whether this is a parameter that makes a vehicle or a traffic light write."""
    key = element.get("key", "") if element.tag == "param" else ""
    return key == "has.ssm.device" or key.rpartition(".")[2] == "file"


def _xml(root: Element) -> bytes:
    return bytes(tostring(root, encoding="utf-8", xml_declaration=True))
