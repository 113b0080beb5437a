"""Reading one input file of a user's scenario, byte for byte, with its outputs discarded.

The only bytes ever changed are the names of files that SUMO would write, and every change is
listed. Everything else stays as the user wrote it: comments, order, encoding, white
space. Names are read as SUMO reads them, qualified and without regard to namespaces.
"""

import gzip
import io
import re
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from xml.parsers import expat

from shared.errors import ScenarioError
from sim_workers.scenarios.input_filter import OUTPUTS, REFERENCES, filter_input
from sim_workers.scenarios.options import NOWHERE

__all__ = [
    "TAG",
    "InputFile",
    "is_file_attribute",
    "is_output_parameter",
    "read_content",
    "read_input",
    "silenced",
    "unpacked",
]

_MAX_BYTES = 1 << 30
_GZIP_MAGIC = b"\x1f\x8b"
_UTF16 = (b"\xff\xfe", b"\xfe\xff")
_LISTS = ("edgesFile",)
"""Attributes naming files to read that are not XML."""
_IGNORED_ATTRIBUTES = {"imgFile", "osgFile"}
"""Pictures, which SUMO does not open if nothing is drawn."""
_OUTPUT_PARAMETER = re.compile(r"SWARMLOG|(.*[.-])?(files?|output)")
_REPLAY_PARAMETER = re.compile(r"(.*\.)?fcd-replay\..*")
_FILE_ATTRIBUTE = re.compile(r".*File|(.*[_-])?file|href")
TAG = re.compile(rb"<(?:[^<>\"']|\"[^\"]*\"|'[^']*')*>")
_NOWHERE = ("NUL", "NULL", NOWHERE, "")


@dataclass(frozen=True)
class InputFile:
    """A file in the form in which SUMO will read it."""

    content: bytes
    """The user's own bytes except for names of outputs; gzipped only if nothing was changed."""
    original: bytes
    """The user's own bytes."""
    replaced: tuple[str, ...]
    """The changes, such as ``<e1Detector id="d"> file="out.xml"``."""
    references: tuple[tuple[str, bool], ...]
    """Other files that it makes SUMO read, by the names it gives, and whether they are XML."""


def read_input(path: Path, is_foreign: bool = False) -> InputFile:
    """Reads an XML file, plain or gzipped.

    Args:
        path: The file.
        is_foreign: Whether it comes from a stranger: then it may contain only what is known to be
            harmless; see :mod:`sim_workers.scenarios.input_filter`.

    Raises:
        ScenarioError: ``missing_file``, ``bad_xml``, ``too_large`` or ``unsupported_input``; or
            what :func:`sim_workers.scenarios.input_filter.filter_input` raises.
    """
    original = read_content(path)
    content = unpacked(path, original)
    scan = _Scan(path, content)
    if is_foreign and filter_input(content, str(path)).content != scan.rewritten():
        raise ScenarioError(f"{path}: its outputs cannot be silenced", "unsupported_input")
    replaced, references = tuple(each.said for each in scan.changes), tuple(scan.references)
    return InputFile(scan.rewritten() if replaced else original, original, replaced, references)


def silenced(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """A user's files by name, for running a copy: the outputs that they name are discarded.

    The folders to which they would be written do not exist in a copy.
    """
    return {name: _silenced(name, content) for name, content in files.items()}


def _silenced(name: str, content: bytes) -> bytes:
    try:
        scan = _Scan(Path(name), unpacked(Path(name), content))
    except ScenarioError:  # not XML, but a list of edges, say; SUMO reports what is wrong
        return content
    return scan.rewritten() if scan.changes else content


def read_content(path: Path) -> bytes:
    """The bytes of a file that a scenario needs.

    Raises:
        ScenarioError: ``missing_file``, or ``too_large``.
    """
    if not path.is_file():
        raise ScenarioError(f"the scenario needs {path}, which does not exist", "missing_file")
    if path.stat().st_size > _MAX_BYTES:
        raise ScenarioError(f"{path} has more than {_MAX_BYTES} bytes", "too_large")
    return path.read_bytes()


def is_output_parameter(key: str) -> bool:
    """Whether a ``<param>`` with this key names a file that a vehicle or a traffic light writes.

    >>> is_output_parameter("device.ssm.file"), is_output_parameter("SWARMLOG")
    (True, True)
    >>> is_output_parameter("has.battery.device")
    False
    """
    return _OUTPUT_PARAMETER.fullmatch(key) is not None


def is_file_attribute(name: str) -> bool:
    """Whether an attribute of this name is a path, in any element.

    >>> is_file_attribute("edgesFile"), is_file_attribute("href")
    (True, True)
    >>> is_file_attribute("maxAccelProfile")
    False
    """
    return _FILE_ATTRIBUTE.fullmatch(name) is not None


def unpacked(path: Path, content: bytes) -> bytes:
    """A file's content, unzipped if it is gzipped.

    Raises:
        ScenarioError: ``bad_xml``: the gzip file is incomplete; ``too_large``.
    """
    if not content.startswith(_GZIP_MAGIC):
        return content
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(content)) as packed:
            content = packed.read(_MAX_BYTES + 1)
    except (OSError, EOFError, zlib.error) as exc:
        raise ScenarioError(f"{path} is not a complete gzip file: {exc}", "bad_xml") from exc
    if len(content) > _MAX_BYTES:
        raise ScenarioError(f"{path} unpacks to more than {_MAX_BYTES} bytes", "too_large")
    return content


@dataclass(frozen=True)
class _Change:
    """A value to replace: the position of its text in the file, without the quotes."""

    begin: int
    end: int
    said: str


class _Scan:
    """One pass over a file, to find what it writes and what it reads."""

    def __init__(self, path: Path, content: bytes) -> None:
        self._path = path
        self._content = content
        self.changes: list[_Change] = []
        self.references: list[tuple[str, bool]] = []
        self._parser = expat.ParserCreate()
        self._parser.StartElementHandler = self._start
        self._parser.StartDoctypeDeclHandler = self._refuse_doctype
        try:
            self._parser.Parse(content, True)
        except (expat.ExpatError, ValueError, LookupError) as exc:
            raise ScenarioError(f"{path} is not usable XML: {exc}", "bad_xml") from exc

    def rewritten(self) -> bytes:
        """The content with every output discarded."""
        parts, end = [], 0
        for change in self.changes:
            parts += [self._content[end : change.begin], NOWHERE.encode()]
            end = change.end
        return b"".join([*parts, self._content[end:]])

    def _start(self, tag: str, attributes: Mapping[str, str]) -> None:
        for name in self._outputs(tag, attributes):
            if attributes[name] not in _NOWHERE:
                self._silence(tag, name, attributes)
        for name, value in attributes.items():
            if REFERENCES.get(tag) == name:
                self._refer(tag, name, value)
            elif (
                is_file_attribute(name)
                and name not in _IGNORED_ATTRIBUTES
                and name != OUTPUTS.get(tag)
            ):
                raise self._unsupported(f"<{tag}> reads another file ({name})")

    def _outputs(self, tag: str, attributes: Mapping[str, str]) -> Iterator[str]:
        """The attributes whose values are names of files to write."""
        if (output := OUTPUTS.get(tag)) in attributes:
            yield str(output)
        if tag == "param" and "value" in attributes:
            key = attributes.get("key", "")
            if _REPLAY_PARAMETER.fullmatch(key):
                raise self._unsupported(f"{key} replays recorded vehicles")
            if is_output_parameter(key):
                yield "value"

    def _silence(self, tag: str, name: str, attributes: Mapping[str, str]) -> None:
        begin = self._parser.CurrentByteIndex
        found = TAG.match(self._content, begin)
        value = found and re.compile(
            rb"""(?<=\s)%s\s*=\s*(?:"([^"]*)"|'([^']*)')""" % re.escape(name.encode())
        ).search(self._content, found.start(), found.end())
        if value is None or self._content.startswith(_UTF16):
            raise self._unsupported(f"the output of <{tag}> cannot be silenced in this encoding")
        owner = attributes.get("id") or attributes.get("key") or ""
        said = f'<{tag} "{owner}"> {name}="{attributes[name]}"'
        begin, end = value.span(1 if value[1] is not None else 2)
        self.changes.append(_Change(begin, end, said))

    def _refer(self, tag: str, name: str, value: str) -> None:
        if "${" in value:
            raise self._unsupported(f"<{tag} {name}> names a file by a variable, {value!r}")
        if value and Path(value).is_absolute():
            raise self._unsupported(
                f"<{tag} {name}> names {value} by its absolute path; name it relative to this file"
            )
        if value:
            self.references.append((value, name not in _LISTS))

    def _unsupported(self, said: str) -> ScenarioError:
        return ScenarioError(f"{self._path}: {said}; that is not supported", "unsupported_input")

    def _refuse_doctype(self, *_: object) -> None:
        raise ScenarioError(
            f"{self._path} declares a document type, which may hide its content", "bad_xml"
        )
