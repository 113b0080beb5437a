"""The input files of a scenario: the user's own under new names, and where each came from.

A file that names others is kept in a folder of its own together with them. Their relative positions
stay the same, because the names in the file are not changed.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from shared.errors import ScenarioError
from sim_workers.scenarios.files import InputFile, read_content, read_input
from sim_workers.scenarios.options import FILE_OPTIONS

__all__ = ["ScenarioInputs", "read_inputs", "split_names"]

_NAMES = {
    "net-file": "network{}.net.xml",
    "additional-files": "additional{}.add.xml",
    "route-files": "demand{}.rou.xml",
    "weight-files": "weights{}.xml",
}
_MAX_DEPTH = 8
"""Maximum depth of files naming each other, which also stops a file that includes itself."""
_MAX_READS = 1000
"""Maximum number of times that files are named by others: SUMO reads them each time."""


@dataclass
class ScenarioInputs:
    """Input files under their new names."""

    options: dict[str, str] = field(default_factory=dict)
    """New names by option, as a configuration lists them."""
    files: dict[str, bytes] = field(default_factory=dict)
    """What SUMO will read, by new name."""
    originals: dict[Path, bytes] = field(default_factory=dict)
    """The user's own bytes, by original absolute path."""
    replaced: list[str] = field(default_factory=list)
    """Names of outputs that were changed, and where."""


def read_inputs(
    folder: Path, given: Mapping[str, str], within: Path | None = None
) -> ScenarioInputs:
    """Reads every input file.

    Args:
        folder: The folder to which relative paths refer.
        given: For each of the file options, the paths as the configuration lists them.
        within: No file may lie outside this folder; None allows any place.

    Raises:
        ScenarioError: ``missing_file``, ``bad_xml``, ``too_large``, ``outside_bundle`` or
            ``unsupported_input``.
    """
    inputs = ScenarioInputs()
    for option in FILE_OPTIONS:
        names = []
        for number, path in enumerate(_paths(folder, given.get(option, ""))):
            tree = _tree(path, within)
            names.append(_add(inputs, _NAMES[option].format(number), path, tree))
        if names:
            inputs.options[option] = ",".join(names)
    return inputs


def split_names(value: str) -> list[str]:
    """The files of an option, as SUMO separates them.

    >>> split_names(" a.rou.xml , b.rou.xml")
    ['a.rou.xml', 'b.rou.xml']
    """
    return [part.strip() for part in value.split(",") if part.strip()]


def _paths(folder: Path, value: str) -> Iterator[Path]:
    return (Path(os.path.normpath(folder / part)) for part in split_names(value))


def _tree(path: Path, within: Path | None) -> dict[Path, InputFile]:
    """A file and all files that it makes SUMO read."""
    found: dict[Path, InputFile] = {}
    budget = iter(range(_MAX_READS))

    def visit(path: Path, is_xml: bool, above: tuple[Path, ...]) -> None:
        if within is not None and not path.resolve().is_relative_to(within.resolve()):
            raise ScenarioError(f"{path} is not in the bundle", "outside_bundle")
        if path in above or len(above) > _MAX_DEPTH or next(budget, None) is None:
            raise ScenarioError(f"{path} includes files in an endless loop", "unsupported_input")
        if path not in found:
            found[path] = read_input(path, within is not None) if is_xml else _plain(path)
        for name, is_markup in found[path].references:
            visit(Path(os.path.normpath(path.parent / name)), is_markup, (*above, path))

    visit(path, True, ())
    return found


def _plain(path: Path) -> InputFile:
    content = read_content(path)
    return InputFile(content, content, (), ())


def _add(inputs: ScenarioInputs, name: str, path: Path, tree: Mapping[Path, InputFile]) -> str:
    """Adds a file with its tree; returns its name for the configuration."""
    names = {path: name} if len(tree) == 1 else _in_a_folder(name.split(".")[0], list(tree))
    for each, found in tree.items():
        inputs.files[names[each]] = found.content
        inputs.originals[each] = found.original
        inputs.replaced += [f"{names[each]}: {said}" for said in found.replaced]
    return names[path]


def _in_a_folder(folder: str, paths: Sequence[Path]) -> dict[Path, str]:
    root = Path(os.path.commonpath([path.parent for path in paths]))
    return {path: f"{folder}/{path.relative_to(root).as_posix()}" for path in paths}
