"""Scenarios: a user's own configuration and files, content-addressed, and how they are run.

The reference is what plain ``sumo -c`` does with the user's own ``.sumocfg``. So the files are kept
as they are, byte for byte, except for the names of outputs, which are discarded. They run under a
configuration that has every option that may move a vehicle or draw a random number
(:mod:`sim_workers.scenarios.options`). Options left out are named; what cannot be kept is refused.

The originals are kept as well, untouched, so that the two can be compared:
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
"""Path of the configuration in a dataset."""
_DEFAULT_SEED = 23423
"""SUMO's default."""
_DEFAULT_LENGTH_S = 3600.0
_WHOLE = re.compile(r"\s*[+-]?\d+\s*")
_MS = 1000
"""SUMO counts time in whole milliseconds."""
_MAX_NAME = 80
"""Names are part of ids, and ids are part of file names and URLs."""
_UNSAFE_NAME = re.compile(r"[^A-Za-z0-9_.-]+")
_SILENT = {"device.ssm.file": NOWHERE}
"""Outputs that are written without an option: those of devices that a vehicle type requests."""
_NEEDS_OUTPUT = "device.vehroute."
"""A device whose output option SUMO requires."""


@dataclass(frozen=True)
class Original:
    """The user's own configuration and files, untouched."""

    config: str
    """The configuration among the files."""
    files: dict[str, bytes]
    """Files by path, with their relative positions unchanged."""
    given: tuple[str, ...]
    """Arguments besides the configuration that determine the run: defaults for what it does not
    set, and what the builder asked for explicitly."""
    outputs: tuple[str, ...]
    """Options in it that name output files."""
    variables: dict[str, str]
    """Environment variables that it names, and their values."""

    def arguments(self, folder: str) -> tuple[str, ...]:
        """The arguments of a run that writes nothing, started next to the folder of the files.

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
    """What a simulation needs from a user's configuration."""

    name: str
    """The configuration's name, readable and safe in a path."""
    files: dict[str, bytes]
    """Its files by name, :data:`CONFIG_NAME` among them."""
    original: Original | None
    """The originals; None if only these files are known."""
    begin_s: float
    end_s: float | None
    """End of the simulation; None if the configuration sets none."""
    seed: int | None
    """The configuration's own seed."""
    time_to_teleport_s: float
    """Seconds until vehicles teleport; below 0, they never do."""
    dropped_options: tuple[str, ...]
    """Options left out because they neither move anything nor draw random numbers."""
    replaced_outputs: tuple[str, ...] = ()
    """Names of outputs in the files that are now discarded."""

    @property
    def scenario_id(self) -> str:
        """See :func:`make_scenario_id`."""
        return make_scenario_id(self.name, self.files)

    @property
    def run_seed(self) -> int:
        """Seed of a run if none is given: the configuration's, or else SUMO's default."""
        return _DEFAULT_SEED if self.seed is None else self.seed

    @property
    def run_end_s(self) -> float:
        """End of a run if none is given: the configuration's, or else an hour after its begin."""
        return self.begin_s + _DEFAULT_LENGTH_S if self.end_s is None else self.end_s

    def reference(self) -> ScenarioRef:
        """The reference to it in a manifest, without the original."""
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
        begin_s: Begin at this time instead of the configuration's, in seconds.
        within: No file may lie outside this folder, and no environment variable is replaced;
            None allows any place.
        environment: The environment variables; None takes those of this process.

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
        end_s=None if end_s is None or end_s < 0 else end_s,  # in SUMO, -1 also means no end
        seed=_seed(given.options),
        time_to_teleport_s=seconds_of(config, "time-to-teleport", run["time-to-teleport"]),
        dropped_options=_dropped(given.options),
        replaced_outputs=tuple(inputs.replaced),
    )


def load_bundle(folder: Path, name: str) -> Scenario:
    """Loads a scenario whose files were written by :meth:`Scenario.write`, byte for byte.

    Nothing is trusted: files that :func:`load_scenario` would have written differently are refused.

    Args:
        folder: Contains its files and nothing else.
        name: The scenario's name, which is in none of its files.

    Raises:
        ScenarioError: ``bad_bundle``, or like :func:`load_scenario`.
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
    """Checks that a scenario's files, whoever made them, make SUMO write or read no other files.

    Raises:
        ScenarioError: They do, or they name an environment variable.
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
    """Whether it is XML; anything else is a list of edges, or unreadable to SUMO."""
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
        OSError: A file cannot be read.
    """
    if not folder.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder))
    paths = (path for path in sorted(folder.rglob("*")) if not path.is_dir())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def write_files(folder: Path, files: Mapping[str, bytes]) -> None:
    """Writes files to their paths in a folder."""
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
    """The arguments that determine a run; all others have no effect on vehicles.

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
    """The options given besides the configuration."""
    added = {name: value for name, value in DEFAULT_OPTIONS.items() if name not in given}
    if begin_s is not None:
        added["begin"] = f"{begin_s:.2f}"
    if not is_off(given.get("random", "")):
        added["random"] = "false"  # a run uses the seed that it is given
    return added


def _original(
    given: Configuration,
    paths: Mapping[str, str],
    inputs: ScenarioInputs,
    added: Mapping[str, str],
) -> Original:
    """The user's files in their relative positions, and the arguments of the run."""
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
    """An absolute path without following links, so that relative positions stay the user's."""
    return Path(os.path.normpath(Path.cwd() / path))


def _dropped(given: Mapping[str, str]) -> tuple[str, ...]:
    """Options left out that would have affected something other than the traffic."""
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
