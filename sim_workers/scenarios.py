"""Scenarios: a foreign SUMO configuration made whole, harmless and content-addressed.

A configuration may name files anywhere and may ask SUMO to write, listen or run things. What we
keep of it is a bundle: the network, the demand, the additional files, and the options that
determine the traffic. Everything else is left out, and the user is told what.

A bundle has two configurations. :data:`CONFIG_NAME` runs the scenario. :data:`RESTORE_CONFIG_NAME`
continues a saved state of it. They differ where there are flows: a restored simulation that reads
flows again draws random numbers for them again, and departs from the run it came from. So where
there are flows, all demand is given as additional files, which makes SUMO put it into every state,
and a state is continued without demand files. The same is done with demand that stood in additional
files: unlike route files they need not be sorted by departure.
"""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from xml.etree.ElementTree import Element, ParseError

import defusedxml.ElementTree as SafeXml

from shared.errors import ScenarioError
from sim_workers.scenario_inputs import read_inputs
from sim_workers.scenario_options import DEFAULT_OPTIONS, FILE_OPTIONS, SYNONYMS, is_kept

__all__ = ["CONFIG_NAME", "RESTORE_CONFIG_NAME", "Scenario", "load_scenario", "sumo_arguments"]

CONFIG_NAME = "scenario.sumocfg"
RESTORE_CONFIG_NAME = "restore.sumocfg"
_SAFE_VALUE = re.compile(r"[A-Za-z0-9_.,:;+*\- ]*")
_MAX_NAME = 80
"""Names stand in ids, and ids in file names and in URLs."""
_UNSAFE_NAME = re.compile(r"[^A-Za-z0-9_.-]+")


@dataclass(frozen=True)
class Scenario:
    """A normalised scenario: what a simulation needs, and nothing that does harm."""

    name: str
    """Readable, safe in a path: the configuration's name."""
    files: dict[str, bytes]
    """Its files by name, :data:`CONFIG_NAME` among them."""
    begin_s: float
    end_s: float | None
    """None where the configuration names no end."""
    seed: int | None
    """The configuration's own seed."""
    dropped_options: tuple[str, ...]
    """Options that were left out."""

    @property
    def scenario_id(self) -> str:
        """``<name>-<12 hex of the SHA-256 of the content>``."""
        digest = hashlib.sha256()
        for name, content in sorted(self.files.items()):
            digest.update(f"{name}\0{len(content)}\0".encode())
            digest.update(content)
        return f"{self.name}-{digest.hexdigest()[:12]}"

    def write(self, folder: Path) -> Path:
        """Writes the files into a folder and returns the configuration's path."""
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in self.files.items():
            (folder / name).write_bytes(content)
        return folder / CONFIG_NAME


def load_scenario(config: Path, begin_s: float | None = None) -> Scenario:
    """Reads a ``.sumocfg`` and every file it needs.

    Args:
        config: The configuration.
        begin_s: Begin here instead of where the configuration says, seconds.

    Raises:
        ScenarioError: ``scenario_not_found``, ``missing_file`` (with its name), ``bad_xml``,
            ``unsupported_input`` or ``bad_scenario``.
    """
    given = _read_options(config)
    options = {name: value for name, value in given.items() if is_kept(name)}
    dropped = sorted(set(given) - set(options) - set(FILE_OPTIONS) - {"seed", "end"})
    _check_values(config, options)
    if begin_s is not None:
        options["begin"] = f"{begin_s:.2f}"
    inputs = read_inputs(config.parent, {name: given.get(name, "") for name in FILE_OPTIONS})
    options = DEFAULT_OPTIONS | options
    files = dict(inputs.files)
    files[CONFIG_NAME] = _render(inputs.run_options() | options)
    files[RESTORE_CONFIG_NAME] = _render(inputs.restore_options() | options)
    return Scenario(
        name=_name(config),
        files=files,
        begin_s=_seconds(config, "begin", options.get("begin", "0")),
        end_s=_seconds(config, "end", given["end"]) if "end" in given else None,
        seed=int(given["seed"]) if given.get("seed", "").isdigit() else None,
        dropped_options=tuple(dropped),
    )


def sumo_arguments(config: str, seed: int) -> tuple[str, ...]:
    """The arguments that determine a run; whatever else a simulation is given moves no vehicle."""
    return ("-c", config, "--seed", str(seed))


def _name(config: Path) -> str:
    name = _UNSAFE_NAME.sub("-", config.name.removesuffix(".sumocfg"))
    return name[:_MAX_NAME].strip("-.") or "scenario"


def _read_options(config: Path) -> dict[str, str]:
    if not config.is_file():
        raise ScenarioError(f"{config} does not exist", "scenario_not_found")
    try:
        root: Element | None = SafeXml.parse(config).getroot()
    except (ParseError, LookupError, ValueError) as exc:  # what is unsafe is a ValueError, too
        raise ScenarioError(f"{config} is not a SUMO configuration: {exc}", "bad_xml") from exc
    if root is None or not root.tag.lower().endswith("configuration"):
        raise ScenarioError(f"{config} is not a SUMO configuration", "bad_xml")
    options = {}
    for element in root.iter():
        value = element.get("value", element.get("v"))
        if value is not None:
            options[SYNONYMS.get(element.tag, element.tag)] = value
    if "net-file" not in options:
        raise ScenarioError(f"{config} names no net-file")
    return options


def _check_values(config: Path, options: dict[str, str]) -> None:
    for name, value in options.items():
        if not _SAFE_VALUE.fullmatch(value):
            raise ScenarioError(f"{config}: option {name} has the unusable value {value!r}")


def _render(options: dict[str, str]) -> bytes:
    lines = [f'    <{name} value="{value}"/>' for name, value in sorted(options.items())]
    return "\n".join(["<configuration>", *lines, "</configuration>", ""]).encode()


def _seconds(config: Path, option: str, value: str) -> float:
    """SUMO's times: seconds, or ``[[days:]hours:]minutes:seconds``."""
    try:
        seconds = 0.0
        parts = value.split(":")
        for part, factor in zip(reversed(parts), (1, 60, 3600, 86400), strict=False):
            seconds += float(part) * factor
    except ValueError as exc:
        raise ScenarioError(f"{config}: {option} is no time: {value!r}") from exc
    return seconds
