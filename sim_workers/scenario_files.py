"""Reading one input file: plain or gzipped XML, bounded, with what it includes, without outputs."""

import gzip
import re
import zlib
from pathlib import Path
from xml.etree.ElementTree import Element, ParseError

import defusedxml.ElementTree as SafeXml

from shared.errors import ScenarioError

__all__ = ["is_file_attribute", "is_output_parameter", "read_xml"]

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
_IGNORED_ATTRIBUTES = {"imgFile", "osgFile"}
"""Pictures; nothing is drawn here."""
_FILTERS = {"edgeData": "edgesFile", "laneData": "edgesFile"}
"""Files that only say what an output is to hold."""
_OUTPUT_PARAMETER = re.compile(r"has\.ssm\.device|device\.ssm\..*|(.*[.-])?(files?|output)")
_FILE_ATTRIBUTE = re.compile(r".*File|(.*[_-])?file|href")
_WITH_DEFINITION_FILE = ("calibrator", "rerouter", "variableSpeedSign")
"""What may be defined in a file of its own, which SUMO reads as if it stood inside."""
_NOWHERE = "NUL"
"""SUMO's name, on every platform, for a file that is not written."""


def read_xml(path: Path, within: Path | None = None) -> Element:
    """The content of a file, and of the files it includes, without outputs.

    Every file is parsed, because SUMO accepts detectors and ``<include>`` in each kind of file and
    in any encoding.

    Args:
        path: The file.
        within: Neither it nor what it includes may lie outside this folder; None: anywhere.

    Raises:
        ScenarioError: ``missing_file``, ``bad_xml``, ``too_large``, ``outside_bundle`` or
            ``unsupported_input``.
    """
    root = _parse(path, within)
    _inline(path, root, 0, within)
    _silence(path, root)
    return root


def is_output_parameter(key: str) -> bool:
    """Whether a ``<param>`` of this key makes a vehicle or a traffic light write, or read a file.

    >>> is_output_parameter("device.ssm.probability"), is_output_parameter("device.toc.file")
    (True, True)
    >>> is_output_parameter("has.battery.device")
    False
    """
    return _OUTPUT_PARAMETER.fullmatch(key) is not None


def is_file_attribute(name: str) -> bool:
    """Whether an attribute of this name is a path, whatever it stands in.

    >>> is_file_attribute("edgesFile"), is_file_attribute("href")
    (True, True)
    >>> is_file_attribute("maxAccelProfile")
    False
    """
    return _FILE_ATTRIBUTE.fullmatch(name) is not None


def _parse(path: Path, within: Path | None) -> Element:
    if within is not None and not path.resolve().is_relative_to(within.resolve()):
        raise ScenarioError(f"{path} is not in the bundle", "outside_bundle")
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


def _inline(path: Path, element: Element, depth: int, within: Path | None) -> None:
    """Puts included files where they are included; their paths are relative to the including."""
    if depth > _MAX_DEPTH:
        raise ScenarioError(f"{path} includes files without end", "unsupported_input")
    if element.tag in _WITH_DEFINITION_FILE and "file" in element.attrib:
        element.extend(_included(path, element.attrib.pop("file"), depth, within))
    for index, child in reversed(list(enumerate(element))):
        if child.tag == "include":
            element[index : index + 1] = _included(path, child.get("href", ""), depth, within)
        else:
            _inline(path, child, depth, within)


def _included(path: Path, name: str, depth: int, within: Path | None) -> list[Element]:
    other = path.parent / name
    root = _parse(other, within)
    _inline(other, root, depth + 1, within)
    return list(root)


def _silence(path: Path, root: Element) -> None:
    """Takes out every output that a file asks SUMO for, and refuses what it would have it read."""
    for element in root.iter():
        for param in [child for child in element if _is_output(child)]:
            element.remove(param)
        outputs = _OUTPUT_ATTRIBUTES.get(element.tag, ())
        for attribute in list(element.attrib):
            if attribute in outputs:
                element.set(attribute, _NOWHERE)
            elif attribute in _IGNORED_ATTRIBUTES or attribute == _FILTERS.get(element.tag):
                del element.attrib[attribute]
            elif is_file_attribute(attribute):
                raise ScenarioError(
                    f"{path}: <{element.tag}> reads another file ({attribute}), "
                    "which is not supported",
                    "unsupported_input",
                )


def _is_output(element: Element) -> bool:
    return element.tag == "param" and is_output_parameter(element.get("key", ""))
