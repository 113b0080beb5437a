"""Scenarios: a user's own configuration and files, content-addressed, and how they are run.

The truth is what plain ``sumo -c`` shows of the user's own ``.sumocfg``. So the files are kept as
they are, byte for byte, but for the names of outputs, which lead nowhere; and they run under a
configuration that has every option which may move a vehicle or draw a random number
(:mod:`sim_workers.scenarios.options`). What was left out is named; what cannot be kept is refused.

Beside it the originals are kept untouched, so that whoever wants to know can compare the two:
:mod:`sim_workers.verification.fidelity` does, whenever a dataset is built.
"""

import errno
import hashlib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import unquote

from shared.dataset import ScenarioRef
from shared.errors import ScenarioError
from sim_workers.scenarios.config import (
    Configuration,
    read_configuration,
    render_configuration,
    seconds_of,
)
from sim_workers.scenarios.files import read_input
from sim_workers.scenarios.inputs import ScenarioInputs, read_inputs, split_names
from sim_workers.scenarios.options import (
    DEFAULT_OPTIONS,
    FILE_OPTIONS,
    NOWHERE,
    OUTPUT_OPTIONS,
    is_kept,
    is_left_out,
    is_off,
    why_refused,
)

__all__ = [
    "CONFIG_NAME",
    "DATASET_CONFIG",
    "Original",
    "Scenario",
    "check_served",
    "load_bundle",
    "load_scenario",
    "make_scenario_id",
    "read_files",
    "sumo_arguments",
    "write_files",
]

CONFIG_NAME = "scenario.sumocfg"
DATASET_CONFIG = f"scenario/{CONFIG_NAME}"
"""Where that is in a dataset."""
_DEFAULT_SEED = 23423
"""SUMO's own."""
_DEFAULT_LENGTH_S = 3600.0
_WHOLE = re.compile(r"\s*[+-]?\d+\s*")
_MS = 1000
"""SUMO counts time in whole milliseconds."""
_MAX_NAME = 80
"""Names stand in ids, and ids in file names and in URLs."""
_UNSAFE_NAME = re.compile(r"[^A-Za-z0-9_.-]+")
_SILENT = {"device.ssm.file": NOWHERE}
"""What would be written without being asked for: a device that only its vehicle's type asks for."""
_NEEDS_OUTPUT = "device.vehroute."
"""A device of which SUMO demands that its output be there."""


@dataclass(frozen=True)
class Original:
    """The user's own configuration and files, untouched."""

    config: str
    """The configuration among the files."""
    files: dict[str, bytes]
    """By path, as they lie to each other."""
    given: tuple[str, ...]
    """Arguments beside the configuration that determine the run: what it is silent on, and what
    the builder asked for by name."""
    outputs: tuple[str, ...]
    """Options of it that name files to write."""
    variables: dict[str, str]
    """Variables of the environment that it names, and their values."""

    def arguments(self, folder: str) -> tuple[str, ...]:
        """The arguments of a run that writes nothing, from beside the folder of the files.

        Args:
            folder: The folder's name.
        """
        return (
            *("-c", f"{folder}/{self.config}"),
            *(arg.replace("{}", folder) for arg in self.given),
            *(each for option in self.outputs for each in (f"--{option}", NOWHERE)),
            *(each for option, value in _SILENT.items() for each in (f"--{option}", value)),
        )


@dataclass(frozen=True)
class Scenario:
    """What a simulation needs of a user's configuration."""

    name: str
    """Readable, safe in a path: the configuration's name."""
    files: dict[str, bytes]
    """Its files by name, :data:`CONFIG_NAME` among them."""
    original: Original | None
    """None where only these files are known."""
    begin_s: float
    end_s: float | None
    """None where the configuration names no end."""
    seed: int | None
    """The configuration's own seed."""
    time_to_teleport_s: float
    """Below 0: vehicles never teleport."""
    dropped_options: tuple[str, ...]
    """Options that were left out, for they neither move anything nor draw."""
    replaced_outputs: tuple[str, ...] = ()
    """Names of outputs in the files that lead nowhere now."""

    @property
    def scenario_id(self) -> str:
        """See :func:`make_scenario_id`."""
        return make_scenario_id(self.name, self.files)

    @property
    def run_seed(self) -> int:
        """Of a run for which nobody names one: the configuration's, or else SUMO's default."""
        return _DEFAULT_SEED if self.seed is None else self.seed

    @property
    def run_end_s(self) -> float:
        """Of such a run: the configuration's, or else an hour after its begin, seconds."""
        return self.begin_s + _DEFAULT_LENGTH_S if self.end_s is None else self.end_s

    def reference(self) -> ScenarioRef:
        """What a manifest says of it, its original left out."""
        return ScenarioRef(
            scenario_id=self.scenario_id,
            name=self.name,
            config=DATASET_CONFIG,
            dropped_options=self.dropped_options,
            replaced_outputs=self.replaced_outputs,
            time_to_teleport_s=self.time_to_teleport_s,
            end_s=self.end_s,
        )

    def write(self, folder: Path) -> Path:
        """Writes the files into a folder and returns the configuration's path."""
        write_files(folder, self.files)
        return folder / CONFIG_NAME


def load_scenario(
    config: Path,
    begin_s: float | None = None,
    within: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> Scenario:
    """Reads a ``.sumocfg`` and every file it needs.

    Args:
        config: The configuration.
        begin_s: Begin here instead of where the configuration says, seconds.
        within: No file may lie outside this folder, and no variable of the environment is
            replaced; None: anywhere.
        environment: Where variables are looked up; None: this process's.

    Raises:
        ScenarioError: ``scenario_not_found``, ``missing_file`` (with its name), ``bad_xml``,
            ``outside_bundle``, ``unsupported_input`` or ``bad_scenario``.
    """
    known = None if within is not None else os.environ if environment is None else environment
    given = read_configuration(config, known)
    _refuse_unsupported(given)
    options = {name: value for name, value in given.options.items() if is_kept(name)}
    added = _added(given.options, begin_s)
    paths = {name: unquote(given.options.get(name, "")) for name in FILE_OPTIONS}
    inputs = read_inputs(config.parent, paths, within)
    run = inputs.options | options | added | _SILENT
    run.pop("random", None)
    if any(name.startswith(_NEEDS_OUTPUT) for name in options):
        run["vehroute-output"] = NOWHERE
    files = inputs.files | {CONFIG_NAME: render_configuration(run)}
    end_s = seconds_of(config, "end", options["end"]) if "end" in options else None
    return Scenario(
        name=_name(config),
        files=files,
        original=_original(given, paths, inputs, added),
        begin_s=seconds_of(config, "begin", run.get("begin", "0")),
        end_s=None if end_s is None or end_s < 0 else end_s,  # SUMO's -1 is no end, too
        seed=_seed(given.options),
        time_to_teleport_s=seconds_of(config, "time-to-teleport", run["time-to-teleport"]),
        dropped_options=_dropped(given.options),
        replaced_outputs=tuple(inputs.replaced),
    )


def load_bundle(folder: Path, name: str) -> Scenario:
    """A scenario whose files were written by :meth:`Scenario.write`, to the same byte.

    Nothing is believed: whatever :func:`load_scenario` would not have written so is refused.

    Args:
        folder: Holds its files and nothing else.
        name: The scenario's name, which no file of it says.

    Raises:
        ScenarioError: ``bad_bundle``, or as :func:`load_scenario`.
    """
    if _UNSAFE_NAME.search(name) or name != _name(Path(name)):
        raise ScenarioError(f"{name!r} is not a valid scenario name", "bad_bundle")
    found = load_scenario(folder / CONFIG_NAME, within=folder)
    files = read_files(folder)
    if found.files.keys() != files.keys():
        raise ScenarioError(
            "the bundle's files do not match its list; was it made by another version? Push the "
            "original configuration",
            "bad_bundle",
        )
    for each, content in sorted(files.items()):
        if found.files[each] != content:
            raise ScenarioError(f"{each} does not have the form of a bundle's file", "bad_bundle")
    return replace(
        found,
        name=name,
        files=files,
        original=None,
        seed=None,
        dropped_options=(),
        replaced_outputs=(),
    )


def check_served(files: Mapping[str, bytes]) -> None:
    """Passes where the files of a scenario, whoever made them, make SUMO write or read no others.

    Raises:
        ScenarioError: They do, or name a variable of the environment.
    """
    with TemporaryDirectory(prefix="greenfork-looking-") as folder:
        write_files(Path(folder), files)
        for name in sorted(files):
            path = Path(folder, name)
            if name.endswith(".sumocfg"):
                _check_configuration(read_configuration(path))
            elif _is_markup(files[name]) and read_input(path).replaced:
                raise ScenarioError(f"{name} makes SUMO write files", "unsupported_input")


def _is_markup(content: bytes) -> bool:
    """Anything else is a list of edges, or nothing that SUMO can read."""
    return content.startswith((b"\x1f\x8b", b"\xef\xbb\xbf")) or content.lstrip()[:1] == b"<"


def _check_configuration(found: Configuration) -> None:
    for option, value in found.options.items():
        is_silent = value == NOWHERE and (option in OUTPUT_OPTIONS or option in _SILENT)
        if not (option in FILE_OPTIONS or is_kept(option) or is_silent):
            raise ScenarioError(
                f"{found.path.name}: option {option} does not belong in a dataset",
                "unsupported_input",
            )


def read_files(folder: Path) -> dict[str, bytes]:
    """All files below a folder, by their paths in it.

    Raises:
        OSError: They cannot be read.
    """
    if not folder.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder))
    paths = (path for path in sorted(folder.rglob("*")) if not path.is_dir())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def write_files(folder: Path, files: Mapping[str, bytes]) -> None:
    """Writes files by their paths in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


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


def _added(given: Mapping[str, str], begin_s: float | None) -> dict[str, str]:
    """What is given beside the configuration."""
    added = {name: value for name, value in DEFAULT_OPTIONS.items() if name not in given}
    if begin_s is not None:
        added["begin"] = f"{begin_s:.2f}"
    if not is_off(given.get("random", "")):
        added["random"] = "false"  # a run has the seed that it is given
    return added


def _original(
    given: Configuration,
    paths: Mapping[str, str],
    inputs: ScenarioInputs,
    added: Mapping[str, str],
) -> Original:
    """The user's files as they lie to each other, and the arguments that make the run."""
    config = _absolute(given.path)
    files = {_absolute(path): content for path, content in inputs.originals.items()}
    root = Path(os.path.commonpath([path.parent for path in [config, *files]]))
    arguments = [each for name, value in added.items() for each in (f"--{name}", value)]
    for option, value in paths.items():
        names = split_names(value)
        if any(Path(name).is_absolute() for name in names) or "${" in given.written.get(option, ""):
            moved = [
                Path(os.path.normpath(config.parent / name)).relative_to(root) for name in names
            ]
            arguments += [f"--{option}", ",".join(f"{{}}/{path.as_posix()}" for path in moved)]
    return Original(
        config=config.relative_to(root).as_posix(),
        files={
            path.relative_to(root).as_posix(): content
            for path, content in (files | {config: given.path.read_bytes()}).items()
        },
        given=tuple(arguments),
        outputs=tuple(sorted(OUTPUT_OPTIONS & given.options.keys())),
        variables=given.variables,
    )


def _absolute(path: Path) -> Path:
    """Links are not followed: files lie to each other as the user has them."""
    return Path(os.path.normpath(Path.cwd() / path))


def _dropped(given: Mapping[str, str]) -> tuple[str, ...]:
    """What was left out and would have had an effect on something else than the traffic."""
    return tuple(
        sorted(
            name
            for name, value in given.items()
            if name not in ("seed", "random") and is_left_out(name) and not is_off(value)
        )
    )


def _seed(given: Mapping[str, str]) -> int | None:
    return int(given["seed"]) if _WHOLE.fullmatch(given.get("seed", "")) else None


def _refuse_unsupported(given: Configuration) -> None:
    for name, value in given.options.items():
        reason = why_refused(name, value)
        if reason is None and not (is_kept(name) or is_left_out(name) or name in FILE_OPTIONS):
            reason = None if is_off(value) else "SUMO 1.28 has no such option"
        if reason is not None:
            raise ScenarioError(
                f"{given.path}: option {name} is not supported: {reason}", "unsupported_input"
            )
    step_s = seconds_of(given.path, "step-length", given.options.get("step-length", "1"))
    if step_s <= 0 or round(1 / step_s) * round(step_s * _MS) != _MS:
        raise ScenarioError(
            f"{given.path}: step-length {step_s:g} does not divide a second; "
            "decisions and samples are taken at whole seconds",
            "unsupported_input",
        )
