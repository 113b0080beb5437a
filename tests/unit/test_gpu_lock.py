"""What a GPU machine installs: the lock file has what ``pyproject.toml`` asks for."""

import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
LOCK = ROOT / "requirements-gpu.txt"


def _asked(extra: str) -> list[Requirement]:
    """The requirements of the package and of an extra, other extras that it names included."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    found = [Requirement(text) for text in project["dependencies"]]
    for text in project["optional-dependencies"][extra]:
        requirement = Requirement(text)
        if requirement.name == project["name"]:
            found += [one for name in requirement.extras for one in _asked(name)]
        else:
            found.append(requirement)
    return found


def _locked() -> dict[str, str]:
    """Versions by name, as the lock file writes names."""
    lines = [line for line in LOCK.read_text().splitlines() if "==" in line and line[0] != "#"]
    pins = [Requirement(line) for line in lines]
    return {pin.name: str(pin.specifier).removeprefix("==") for pin in pins}


@pytest.mark.parametrize("asked", _asked("gpu"), ids=lambda asked: asked.name)
def test_lock_holds_what_is_asked_for(asked: Requirement) -> None:
    """Each at a version that is allowed."""
    version = _locked().get(asked.name.replace("_", "-"))
    assert version is not None
    assert asked.specifier.contains(version)


def test_lock_brings_cuda_and_no_other_index() -> None:
    """The torch of the lock is the one with CUDA, from where everything else comes from."""
    locked = _locked()
    assert "+" not in locked["torch"]
    assert any(name.startswith("nvidia-cu") for name in locked)
    assert "://" not in LOCK.read_text()
