"""Reading a ``.sumocfg`` as SUMO does: its options by their canonical names."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from xml.parsers import expat
from xml.sax.saxutils import escape

from shared.errors import ScenarioError
from sim_workers.scenarios.options import SYNONYMS, is_left_out

__all__ = [
    "Configuration",
    "parse_seconds",
    "read_configuration",
    "render_configuration",
    "seconds_of",
]

_VARIABLE = re.compile(r"\$\{(.+?)\}")
_UNREPEATABLE = ("LOCALTIME", "PID", "UTC")
"""SUMO replaces these by something different in each run."""
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_QUOTED = {'"': "&quot;", "\n": "&#10;", "\t": "&#9;"}
_MAX_BYTES = 1 << 20


@dataclass(frozen=True)
class Configuration:
    """The options of a configuration."""

    path: Path
    options: dict[str, str]
    """Values by canonical name, with variables replaced by their values."""
    written: dict[str, str] = field(default_factory=dict)
    """The same, as written in the file."""
    variables: dict[str, str] = field(default_factory=dict)
    """The environment variables that it names, and the values that they had."""


def read_configuration(path: Path, environment: Mapping[str, str] | None = None) -> Configuration:
    """Reads a configuration.

    Args:
        path: The file.
        environment: The variables for ``${NAME}``; None refuses any.

    Raises:
        ScenarioError: ``scenario_not_found``, ``bad_xml``, ``unsupported_input`` or
            ``bad_scenario``.
    """
    if not path.is_file():
        raise ScenarioError(f"{path} does not exist", "scenario_not_found")
    if path.stat().st_size > _MAX_BYTES:
        raise ScenarioError(f"{path} is not a SUMO configuration: it is too large", "bad_xml")
    reader = _Reader(path)
    variables: dict[str, str] = {}
    options = dict(reader.options)
    for name, value in reader.options.items():
        if not is_left_out(name):
            options[name] = _substituted(path, name, value, environment, variables)
    if "net-file" not in options:  # SUMO does not care about the root's name
        if not reader.root.lower().endswith("configuration"):
            raise ScenarioError(
                f"{path} is not a SUMO configuration{_advice(reader.root)}", "bad_xml"
            )
        raise ScenarioError(f"{path} does not name a net-file")
    for name, value in options.items():
        if _CONTROL.search(value):
            raise ScenarioError(f"{path}: option {name} has the unusable value {value!r}")
    return Configuration(path, options, reader.options, variables)


def render_configuration(options: Mapping[str, str]) -> bytes:
    """A configuration with these options, sorted by name."""
    lines = [
        f'    <{name} value="{escape(value, _QUOTED)}"/>' for name, value in sorted(options.items())
    ]
    return "\n".join(["<configuration>", *lines, "</configuration>", ""]).encode()


def seconds_of(config: Path, option: str, value: str) -> float:
    """A time in SUMO's notation: seconds, or ``[[days:]hours:]minutes:seconds``.

    Raises:
        ScenarioError: It is neither.
    """
    try:
        return parse_seconds(value)
    except ValueError as exc:
        raise ScenarioError(f"{config}: {option} is not a number: {value!r}") from exc


def parse_seconds(value: str) -> float:
    """Like :func:`seconds_of`, but raises a ValueError if it is neither."""
    seconds = 0.0
    for part, factor in zip(reversed(value.split(":")), (1, 60, 3600, 86400), strict=False):
        seconds += float(part) * factor
    return seconds


class _Reader:
    """Reads options from attributes and, like SUMO, from the text between tags."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.root = ""
        self.options: dict[str, str] = {}
        self._tag = ""
        self._text: list[str] = []
        parser = expat.ParserCreate()
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._characters
        parser.StartDoctypeDeclHandler = self._refuse_doctype
        try:
            parser.Parse(path.read_bytes(), True)
        except (expat.ExpatError, ValueError, LookupError) as exc:
            raise ScenarioError(f"{path} is not a SUMO configuration: {exc}", "bad_xml") from exc

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        self.root = self.root or tag
        self._tag, self._text = tag, []
        value = attributes.get("value", attributes.get("v"))
        if value is not None:
            self._set(tag, value)

    def _characters(self, text: str) -> None:
        self._text.append(text)

    def _end(self, tag: str) -> None:
        text = "".join(self._text).strip()
        if tag == self._tag and text:
            self._set(tag, text)
        self._tag, self._text = "", []

    def _set(self, tag: str, value: str) -> None:
        name = SYNONYMS.get(tag, tag)
        if name in self.options:
            raise ScenarioError(f"{self._path}: option {name} is given twice")
        self.options[name] = value

    def _refuse_doctype(self, *_: object) -> None:
        raise ScenarioError(
            f"{self._path} is not a SUMO configuration: it declares a document type", "bad_xml"
        )


def _substituted(
    path: Path,
    option: str,
    value: str,
    environment: Mapping[str, str] | None,
    variables: dict[str, str],
) -> str:
    """A value with environment variables replaced; notes those that were used."""

    def found(match: re.Match[str]) -> str:
        name = match[1]
        if name in _UNREPEATABLE:
            said = "${{name}} differs from run to run, so the run could not be repeated"
        elif environment is None:
            said = "${{name}} would reveal the environment of this machine"
        elif name not in environment:
            said = f"${{{name}}} is not set; set it"
        else:
            variables[name] = environment[name]
            return environment[name]
        raise ScenarioError(f"{path}: option {option} is {value!r}: {said}", "unsupported_input")

    replaced = _VARIABLE.sub(found, value)
    if "${" in replaced:
        raise ScenarioError(
            f"{path}: option {option} still names a variable after replacing: {replaced!r}",
            "unsupported_input",
        )
    return replaced


def _advice(root: str) -> str:
    if root not in ("net", "routes", "additional"):
        return ""
    return (
        f" but a file of <{root}>; name it in a .sumocfg: <configuration>"
        '<net-file value="..."/><route-files value="..."/></configuration>'
    )
