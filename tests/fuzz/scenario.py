"""A generated scenario: parts that can each be left out, and the files that they make up."""

import gzip
import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

__all__ = [
    "DEFINED",
    "ENVIRONMENT",
    "LAST",
    "Line",
    "Option",
    "Part",
    "Scenario",
    "Settings",
    "write_scenario",
]

DEFINED = -1.0
"""Where definitions stand in a route file: before all that departs."""
LAST = 1e9
"""After all that departs, whatever its own departure is."""
_NETWORK = "town.net.xml"
_ENDINGS = {"net-file": ".net.xml", "route-files": ".rou.xml", "additional-files": ".add.xml"}
_NAMESPACE = ' xmlns="http://sumo.dlr.de/xsd"'
_PATTERNS = {
    "percent-encoded names": "my {}",
    "accents in file names": "Straße {}",
    "variables in file names": "mine-{}",
}
_VARIABLE = "FUZZ_TOWN"
ENVIRONMENT = {_VARIABLE: "mine-"}
"""What names with variables need in the environment of whoever reads the configuration."""


@dataclass(frozen=True)
class Line:
    """One element of a file."""

    file: str
    at_s: float
    """Its place: route files are sorted by this, other files are not."""
    text: str


@dataclass(frozen=True)
class Part:
    """Something that a scenario has, and would still be one without."""

    features: tuple[str, ...]
    lines: tuple[Line, ...]


@dataclass(frozen=True)
class Option:
    """One option of the configuration."""

    feature: str
    name: str
    value: str


@dataclass(frozen=True)
class Settings:
    """What the product is asked to build; times in seconds."""

    tls_ids: tuple[str, ...]
    seed: int | None
    """None leaves it to the configuration."""
    warmup_s: int
    every_s: int
    states: int
    horizon_s: int
    kind: str = "extend"
    policy: str = "program"
    only_replays: bool = False


@dataclass(frozen=True)
class Scenario:
    """A scenario that can be written, built and made smaller."""

    name: str
    network: tuple[str, ...]
    """Options of ``netgenerate``."""
    network_features: tuple[str, ...]
    settings: Settings
    parts: tuple[Part, ...] = ()
    options: tuple[Option, ...] = ()
    styles: tuple[str, ...] = ()
    """How files are written: a default namespace, names with spaces."""

    @property
    def features(self) -> frozenset[str]:
        """All that it has, the network's own included."""
        asked = {
            f"decisions: {self.settings.kind}",
            f"policy: {self.settings.policy}",
            "seed in the configuration" if self.settings.seed is None else "seed given",
        } | ({"only replays"} if self.settings.only_replays else set())
        files = {line.file for part in self.parts for line in part.lines}
        several = len([name for name in files if name.endswith(".rou.xml")]) > 1
        return frozenset(
            {
                *self.network_features,
                *(feature for part in self.parts for feature in part.features),
                *(option.feature for option in self.options),
                *self.styles,
                *asked,
                *(["several route files"] if several else []),
            }
        )

    def to_json(self) -> str:
        """As it is kept in a file."""
        return json.dumps(asdict(self), indent=1, ensure_ascii=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Self:
        """From what :meth:`to_json` gave."""
        data: dict[str, Any] = json.loads(text)
        settings = data["settings"] | {"tls_ids": tuple(data["settings"]["tls_ids"])}
        return cls(
            name=data["name"],
            network=tuple(data["network"]),
            network_features=tuple(data["network_features"]),
            settings=Settings(**settings),
            parts=tuple(
                Part(tuple(part["features"]), tuple(Line(**line) for line in part["lines"]))
                for part in data["parts"]
            ),
            options=tuple(Option(**option) for option in data["options"]),
            styles=tuple(data["styles"]),
        )


def write_scenario(scenario: Scenario, network: Path, folder: Path) -> Path:
    """Writes a scenario as a user would have it, and gives its configuration."""
    folder.mkdir(parents=True)
    contents = {name: _content(scenario, name).encode() for name in _files(scenario.parts)}
    contents[_NETWORK] = network.read_bytes()
    for name, content in contents.items():
        path = folder / _pattern(scenario).format(name)
        if "gzipped" in scenario.styles:
            path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(content))
        else:
            path.write_bytes(content)
    named = [_in_config(scenario, name) for name in contents]
    given = {
        option: ",".join(name for name in named if name.removesuffix(".gz").endswith(ending))
        for option, ending in _ENDINGS.items()
    } | {option.name: option.value for option in scenario.options}
    config = folder / f"{scenario.name}.sumocfg"
    lines = [f'    <{name} value="{value}"/>' for name, value in given.items() if value]
    config.write_text(
        "\n".join(["<sumoConfiguration>", *lines, "</sumoConfiguration>", ""]), encoding="utf-8"
    )
    return config


def _pattern(scenario: Scenario) -> str:
    """How a file is called."""
    return next((_PATTERNS[style] for style in scenario.styles if style in _PATTERNS), "{}")


def _in_config(scenario: Scenario, name: str) -> str:
    """How the configuration names a file."""
    written = _pattern(scenario).format(name)
    if "percent-encoded names" in scenario.styles:
        written = quote(written)
    if "variables in file names" in scenario.styles:
        written = f"${{{_VARIABLE}}}{name}"
    return f"{written}.gz" if "gzipped" in scenario.styles else written


def _files(parts: Iterable[Part]) -> list[str]:
    return sorted({line.file for part in parts for line in part.lines})


def _content(scenario: Scenario, file: str) -> str:
    is_routes = file.endswith(".rou.xml")
    root = "routes" if is_routes else "additional"
    attributes = _NAMESPACE if is_routes and "default namespace" in scenario.styles else ""
    lines = list(_lines(scenario.parts, file))
    if is_routes:
        lines.sort(key=lambda line: line.at_s)
    body = [f"    {line.text}" for line in lines]
    return "\n".join([f"<{root}{attributes}>", *body, f"</{root}>", ""])


def _lines(parts: Iterable[Part], file: str) -> Iterator[Line]:
    for part in parts:
        yield from (line for line in part.lines if line.file == file)
