"""Scenarios: a foreign SUMO configuration made whole, harmless and content-addressed.

A configuration may name files anywhere and may ask SUMO to write, listen or run things. What we
keep of it is a bundle: the network, the demand, the additional files, and the options that
determine the traffic. Everything else is left out, and the user is told what. What determines the
traffic and cannot be kept is refused.

A bundle has two configurations. :data:`CONFIG_NAME` runs the scenario. :data:`RESTORE_CONFIG_NAME`
continues a saved state of it. They differ where reading demand draws random numbers, as flows and
distributions do: a restored simulation that reads it again draws again, and departs from the run
it came from. Then all demand is given as additional files, which makes SUMO put it into every
state, and a state is continued without demand files. The same is done where demand is multiplied
or shifted, and with demand that stood in additional files: unlike route files they need not be
sorted by departure.
"""

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from xml.etree.ElementTree import Element, ParseError

import defusedxml.ElementTree as SafeXml

from shared.errors import ScenarioError
from sim_workers.scenario_files import read_xml
from sim_workers.scenario_inputs import ScenarioInputs, read_inputs, render_input
from sim_workers.scenario_options import (
    DEFAULT_OPTIONS,
    FILE_OPTIONS,
    SYNONYMS,
    is_kept,
    is_off,
    why_refused,
)

__all__ = [
    "CONFIG_NAME",
    "RESTORE_CONFIG_NAME",
    "Scenario",
    "load_bundle",
    "load_scenario",
    "make_scenario_id",
    "read_file_options",
    "sumo_arguments",
    "with_files",
]

CONFIG_NAME = "scenario.sumocfg"
RESTORE_CONFIG_NAME = "restore.sumocfg"
_SAFE_VALUE = re.compile(r"[A-Za-z0-9_.,:;+*#@=%\- ]*")
_WHOLE = re.compile(r"\s*[+-]?\d+\s*")
_UNVARIED = {"random-depart-offset": 0, "scale": 1}
"""Options with which SUMO changes demand while it reads it, and the values that change nothing."""
_MS = 1000
"""SUMO counts time in whole milliseconds."""
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
        """See :func:`make_scenario_id`."""
        return make_scenario_id(self.name, self.files)

    def write(self, folder: Path) -> Path:
        """Writes the files into a folder and returns the configuration's path."""
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in self.files.items():
            (folder / name).write_bytes(content)
        return folder / CONFIG_NAME


def load_scenario(
    config: Path,
    begin_s: float | None = None,
    is_scaled: bool = False,
    within: Path | None = None,
) -> Scenario:
    """Reads a ``.sumocfg`` and every file it needs.

    Args:
        config: The configuration.
        begin_s: Begin here instead of where the configuration says, seconds.
        is_scaled: Whether runs will be started with a ``--scale`` of their own.
        within: No file may lie outside this folder; None: anywhere.

    Raises:
        ScenarioError: ``scenario_not_found``, ``missing_file`` (with its name), ``bad_xml``,
            ``outside_bundle``, ``unsupported_input`` or ``bad_scenario``.
    """
    given = _read_options(config)
    _refuse_unsupported(config, given)
    options = {name: value for name, value in given.items() if is_kept(name)}
    _check_values(config, options)
    if begin_s is not None:
        options["begin"] = f"{begin_s:.2f}"
    end_s = _seconds(config, "end", given["end"]) if "end" in given else None
    is_varied = is_scaled or _is_varied(config, options)
    paths = {name: given.get(name, "") for name in FILE_OPTIONS}
    return Scenario(
        name=_name(config),
        files=_bundle(
            read_inputs(config.parent, paths, is_varied, within), DEFAULT_OPTIONS | options
        ),
        begin_s=_seconds(config, "begin", options.get("begin", "0")),
        end_s=None if end_s is None or end_s < 0 else end_s,  # SUMO's -1 is no end, too
        seed=int(given["seed"]) if _WHOLE.fullmatch(given.get("seed", "")) else None,
        dropped_options=_dropped(given),
    )


def load_bundle(folder: Path, name: str) -> Scenario:
    """A scenario that was made by :func:`load_scenario` and written to a folder, to the same byte.

    Nothing is believed: whatever :func:`load_scenario` would not have written so is refused.

    Args:
        folder: Holds its files and nothing else.
        name: The scenario's name, which no file of it says.

    Raises:
        ScenarioError: ``bad_bundle``, or as :func:`load_scenario`.
    """
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    if _UNSAFE_NAME.search(name) or name != _name(Path(name)):
        raise ScenarioError(f"{name!r} cannot be the name of a scenario", "bad_bundle")
    configs = {each: _read_options(folder / each) for each in (CONFIG_NAME, RESTORE_CONFIG_NAME)}
    named: set[str] = set()
    for config, options in configs.items():
        _refuse_unsupported(folder / config, options)
        kept = {key: value for key, value in options.items() if is_kept(key)}
        _check_values(folder / config, kept)
        inputs = {key: value for key, value in options.items() if key in FILE_OPTIONS}
        if kept | inputs != options or _render(options) != files[config]:
            raise ScenarioError(f"{config} is not as a bundle has it", "bad_bundle")
        named |= {part for value in inputs.values() for part in value.split(",")}
    if named | configs.keys() != files.keys():
        raise ScenarioError("the bundle's files are not those that it names", "bad_bundle")
    for each in sorted(named):
        if render_input(read_xml(folder / each, folder)) != files[each]:
            raise ScenarioError(f"{each} is not as a bundle has it", "bad_bundle")
    begin_s = _seconds(folder / CONFIG_NAME, "begin", configs[CONFIG_NAME].get("begin", "0"))
    return Scenario(name, files, begin_s, end_s=None, seed=None, dropped_options=())


def read_file_options(config: Path) -> dict[str, str]:
    """The input files that a bundle's configuration names, by option."""
    return {k: v for k, v in _read_options(config).items() if k in FILE_OPTIONS}


def with_files(config: Path, files: Mapping[str, str]) -> bytes:
    """A bundle's configuration with other input files."""
    return _render(_read_options(config) | dict(files))


def make_scenario_id(name: str, files: Mapping[str, bytes]) -> str:
    """``<name>-<12 hex of the SHA-256 of the content>``."""
    digest = hashlib.sha256()
    for file, content in sorted(files.items()):
        digest.update(f"{file}\0{len(content)}\0".encode())
        digest.update(content)
    return f"{name}-{digest.hexdigest()[:12]}"


def sumo_arguments(config: str, seed: int, scale: float = 1.0) -> tuple[str, ...]:
    """The arguments that determine a run; whatever else a simulation is given moves no vehicle.

    Args:
        config: Path of the configuration.
        seed: SUMO's ``--seed``.
        scale: SUMO's ``--scale``, in place of the configuration's; 1 leaves that as it is.
    """
    scaled = () if scale == 1 else ("--scale", repr(scale))
    return ("-c", config, "--seed", str(seed), *scaled)


def _name(config: Path) -> str:
    name = _UNSAFE_NAME.sub("-", config.name.removesuffix(".sumocfg"))
    return name[:_MAX_NAME].strip("-.") or "scenario"


def _bundle(inputs: ScenarioInputs, options: dict[str, str]) -> dict[str, bytes]:
    again = dict(options)
    if inputs.is_demand_in_states:
        again.pop("random-depart-offset", None)  # what is in a state was shifted already
    return {
        **inputs.files,
        CONFIG_NAME: _render(inputs.run_options() | options),
        RESTORE_CONFIG_NAME: _render(inputs.restore_options() | again),
    }


def _is_varied(config: Path, options: Mapping[str, str]) -> bool:
    return any(
        name in options and _seconds(config, name, options[name]) != neutral
        for name, neutral in _UNVARIED.items()
    )


def _dropped(given: Mapping[str, str]) -> tuple[str, ...]:
    """What was left out and would have had an effect."""
    used = {*FILE_OPTIONS, "seed", "end"}
    return tuple(
        sorted(
            name
            for name, value in given.items()
            if name not in used and not is_kept(name) and not is_off(value)
        )
    )


def _read_options(config: Path) -> dict[str, str]:
    if not config.is_file():
        raise ScenarioError(f"{config} does not exist", "scenario_not_found")
    try:
        root: Element | None = SafeXml.parse(config, forbid_dtd=True).getroot()
    except (ParseError, LookupError, ValueError) as exc:  # what is unsafe is a ValueError, too
        raise ScenarioError(f"{config} is not a SUMO configuration: {exc}", "bad_xml") from exc
    options = dict(_given(root)) if root is not None else {}
    if "net-file" in options:  # whatever the root is called: SUMO does not care
        return options
    if root is None or not root.tag.lower().endswith("configuration"):
        raise ScenarioError(f"{config} is not a SUMO configuration{_advice(root)}", "bad_xml")
    raise ScenarioError(f"{config} names no net-file")


def _advice(root: Element | None) -> str:
    if root is None or root.tag not in ("net", "routes", "additional"):
        return ""
    return (
        f" but a file of <{root.tag}>; name it in a .sumocfg: <configuration>"
        '<net-file value="..."/><route-files value="..."/></configuration>'
    )


def _given(root: Element) -> Iterator[tuple[str, str]]:
    """Options stand in attributes; SUMO reads text between the tags as well."""
    for element in root.iter():
        text = (element.text or "").strip() if not len(element) else ""
        value = element.get("value", element.get("v", text or None))
        if value is not None:
            yield SYNONYMS.get(element.tag, element.tag), value


def _refuse_unsupported(config: Path, given: Mapping[str, str]) -> None:
    for name, value in given.items():
        reason = why_refused(name, value)
        if reason is not None:
            raise ScenarioError(
                f"{config}: option {name} is not supported: {reason}", "unsupported_input"
            )
    step_s = _seconds(config, "step-length", given.get("step-length", "1"))
    if step_s <= 0 or round(1 / step_s) * round(step_s * _MS) != _MS:
        raise ScenarioError(
            f"{config}: step-length {step_s:g} does not divide a second; "
            "decisions and samples are taken at whole seconds",
            "unsupported_input",
        )


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
        raise ScenarioError(f"{config}: {option} is no number: {value!r}") from exc
    return seconds
