"""Reading one input file: plain or gzipped XML, bounded, with what it includes, without outputs."""

import gzip
import zlib
from pathlib import Path
from xml.etree.ElementTree import Element, ParseError

import defusedxml.ElementTree as SafeXml

from shared.errors import ScenarioError

__all__ = ["read_xml"]

_MAX_BYTES = 1 << 30
_MAX_DEPTH = 8
"""How deep files may include each other; a file that includes itself ends here."""
_GZIP_MAGIC = b"\x1f\x8b"
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
_WITH_DEFINITION_FILE = ("calibrator", "rerouter", "variableSpeedSign")
"""What may be defined in a file of its own, which SUMO reads as if it stood inside."""
_NOWHERE = "NUL"
"""SUMO's name, on every platform, for a file that is not written."""


def read_xml(path: Path) -> Element:
    """The content of a file, and of the files it includes, without outputs.

    Every file is parsed, because SUMO accepts detectors and ``<include>`` in each kind of file and
    in any encoding.

    Raises:
        ScenarioError: ``missing_file``, ``bad_xml``, ``too_large`` or ``unsupported_input``.
    """
    root = _parse(path)
    _inline(path, root, 0)
    _silence(path, root)
    return root


def _parse(path: Path) -> Element:
    if not path.is_file():
        raise ScenarioError(f"the scenario needs {path}, which does not exist", "missing_file")
    try:
        root: Element = SafeXml.fromstring(_unpack(path, path.read_bytes()), forbid_dtd=True)
    except (ParseError, LookupError, ValueError) as exc:  # what is unsafe is a ValueError, too
        raise ScenarioError(f"{path} is not XML that can be used: {exc}", "bad_xml") from exc
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


def _inline(path: Path, element: Element, depth: int) -> None:
    """Puts included files where they are included; their paths are relative to the including."""
    if depth > _MAX_DEPTH:
        raise ScenarioError(f"{path} includes files without end", "unsupported_input")
    if element.tag in _WITH_DEFINITION_FILE and "file" in element.attrib:
        element.extend(_included(path, element.attrib.pop("file"), depth))
    for index, child in reversed(list(enumerate(element))):
        if child.tag == "include":
            element[index : index + 1] = _included(path, child.get("href", ""), depth)
        else:
            _inline(path, child, depth)


def _included(path: Path, name: str, depth: int) -> list[Element]:
    other = path.parent / name
    root = _parse(other)
    _inline(other, root, depth + 1)
    return list(root)


def _silence(path: Path, root: Element) -> None:
    """Takes out every output that a file asks SUMO for."""
    for element in root.iter():
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
