"""The input files of a scenario: the user's own, under names of ours, and where each came from.

A file that names others is kept in a folder of its own with all that it names, each where it was
relative to the others, for what it says of them is not changed.
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
"""How deep files may name each other; a file that includes itself ends here."""
_MAX_READS = 1000
"""How often files may be named by others in all, each time counted: SUMO reads each again."""


@dataclass
class ScenarioInputs:
    """Input files under their new names."""

    options: dict[str, str] = field(default_factory=dict)
    """By option, the new names as a configuration lists them."""
    files: dict[str, bytes] = field(default_factory=dict)
    """By new name, what SUMO is to read."""
    originals: dict[Path, bytes] = field(default_factory=dict)
    """The user's own bytes, by their own absolute path."""
    replaced: list[str] = field(default_factory=list)
    """Names of outputs that were changed, and where."""


def read_inputs(
    folder: Path, given: Mapping[str, str], within: Path | None = None
) -> ScenarioInputs:
    """Reads every input file.

    Args:
        folder: What relative paths are relative to.
        given: For each of the file options, the paths as the configuration lists them.
        within: No file may lie outside this folder; None: anywhere.

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
    """A file and all that it makes SUMO read."""
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
    """Takes a file in, with its tree; the name under which a configuration names it."""
    names = {path: name} if len(tree) == 1 else _in_a_folder(name.split(".")[0], list(tree))
    for each, found in tree.items():
        inputs.files[names[each]] = found.content
        inputs.originals[each] = found.original
        inputs.replaced += [f"{names[each]}: {said}" for said in found.replaced]
    return names[path]


def _in_a_folder(folder: str, paths: Sequence[Path]) -> dict[Path, str]:
    root = Path(os.path.commonpath([path.parent for path in paths]))
    return {path: f"{folder}/{path.relative_to(root).as_posix()}" for path in paths}
