"""The metrics that installed packages add: where they are, and a digest of their code.

Nothing of a package is imported here, so that this can be asked anywhere.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from pathlib import Path

from shared.domains.custom_metrics import CustomMetric, is_metric_name
from shared.errors import ConfigError
from shared.files import os_errors

__all__ = ["GROUP", "InstalledMetric", "installed_metrics"]

GROUP = "greenfork.metrics"
"""The group of entry points by which packages add metrics."""

_COMPILED = ("__pycache__", ".pyc")


@dataclass(frozen=True)
class InstalledMetric:
    """A metric that a package adds."""

    name: str
    """Without ``custom.``."""
    target: str
    """``module:attribute``."""
    package: str
    """Name and version, ``greenfork-co2 1.0``."""
    root: str
    """The folder from which it is imported."""
    digest: str
    """Of the target and the package's files, 64 hex digits."""

    @property
    def module(self) -> str:
        """The module that holds it."""
        return self.target.partition(":")[0]

    @property
    def wanted(self) -> CustomMetric:
        """What a rollout is told of it."""
        return CustomMetric(name=self.name, digest=self.digest)


def installed_metrics() -> tuple[InstalledMetric, ...]:
    """The metrics of all installed packages, by name.

    Raises:
        ConfigError: Two packages use one name, a name is none, or a module is not there.
    """
    found: dict[str, InstalledMetric] = {}
    for entry in entry_points(group=GROUP):
        metric = _described(entry)
        if metric.name in found and found[metric.name] != metric:
            others = f"{found[metric.name].package} and {metric.package}"
            raise ConfigError(f"two packages add a metric {metric.name}: {others}; uninstall one")
        found[metric.name] = metric
    return tuple(found[name] for name in sorted(found))


def _described(entry: EntryPoint) -> InstalledMetric:
    package = f"{entry.dist.name} {entry.dist.version}" if entry.dist is not None else "unknown"
    if not is_metric_name(entry.name):
        raise ConfigError(
            f"{package} adds a metric called {entry.name!r}: a name has lower-case letters, digits "
            "and underscores, begins with a letter, and has at most 32 characters"
        )
    top = entry.module.partition(".")[0]
    spec = find_spec(top)
    if spec is None or not (spec.origin or spec.submodule_search_locations):
        raise ConfigError(
            f"the metric {entry.name} of {package} names {entry.value}, but there is no module "
            f"{top}; repair the package, or uninstall it"
        )
    if spec.submodule_search_locations:
        folders = [Path(one) for one in spec.submodule_search_locations]
        root, files = folders[0].parent, [f for folder in folders for f in _files_of(folder)]
    else:
        root, files = Path(str(spec.origin)).parent, [Path(str(spec.origin))]
    digest = _digest(f"{entry.name}={entry.value}", root, files)
    return InstalledMetric(entry.name, entry.value, package, str(root.resolve()), digest)


def _files_of(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not any(part.endswith(_COMPILED) for part in path.parts):
            yield path


def _digest(entry: str, root: Path, files: Sequence[Path]) -> str:
    told: list[list[str]] = []
    for path in files:
        with os_errors(ConfigError, f"cannot read {path}"):
            content = hashlib.sha256(path.read_bytes()).hexdigest()
        name = path.relative_to(root) if path.is_relative_to(root) else path.name
        told.append([str(name), content])
    return hashlib.sha256(json.dumps([entry, told]).encode()).hexdigest()
