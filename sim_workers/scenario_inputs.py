"""Reading one input file of a scenario: plain or gzipped XML, bounded, without outputs."""

import gzip
import zlib
from pathlib import Path
from xml.etree.ElementTree import Element, ParseError, tostring

import defusedxml.ElementTree as SafeXml
from defusedxml import DefusedXmlException

from shared.errors import ScenarioError

__all__ = ["read_input"]

_MAX_BYTES = 1 << 30
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
_NOWHERE = "NUL"
"""SUMO's name, on every platform, for a file that is not written."""


def read_input(path: Path, is_rewritten: bool) -> bytes:
    """The content of an input file, unpacked.

    Args:
        path: The file, perhaps gzipped.
        is_rewritten: Take out the outputs that it asks SUMO for.

    Raises:
        ScenarioError: ``missing_file``, ``bad_xml``, ``too_large`` or ``unsupported_input``.
    """
    if not path.is_file():
        raise ScenarioError(f"the scenario needs {path}, which does not exist", "missing_file")
    content = _unpack(path, path.read_bytes())
    if b"<include" in content:
        raise ScenarioError(f"{path} includes other files; put them into one", "unsupported_input")
    if b"<!ENTITY" in content or b"<!DOCTYPE" in content:
        raise ScenarioError(f"{path} declares a DTD or entities", "bad_xml")
    return _without_outputs(path, content) if is_rewritten else content


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


def _without_outputs(path: Path, content: bytes) -> bytes:
    try:
        root: Element = SafeXml.fromstring(content)
    except (ParseError, DefusedXmlException) as exc:
        raise ScenarioError(f"{path} is not XML: {exc}", "bad_xml") from exc
    for element in root.iter():
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
    return bytes(tostring(root, encoding="utf-8", xml_declaration=True))
