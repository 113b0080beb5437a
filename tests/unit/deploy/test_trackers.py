"""What the trainer's images install for ``report_to`` is locked."""

import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

_ROOT = Path(__file__).parents[3]


def test_every_tracker_is_pinned() -> None:
    """At a version that the extra allows."""
    lines = (_ROOT / "constraints.txt").read_text().splitlines()
    pins = [Requirement(line) for line in lines if line and not line.startswith("#")]
    versions = {canonicalize_name(pin.name): str(pin.specifier)[2:] for pin in pins}
    project = tomllib.loads((_ROOT / "pyproject.toml").read_text())["project"]
    trackers = list(map(Requirement, project["optional-dependencies"]["trackers"]))
    assert {one.name for one in trackers} == {"tensorboard", "trackio", "wandb"}
    for one in trackers:
        assert one.specifier.contains(versions[canonicalize_name(one.name)])
