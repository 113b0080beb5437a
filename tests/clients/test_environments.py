"""Environments are made once, whole, and for one list of pins; nothing is downloaded here."""

import subprocess
from pathlib import Path

import pytest

from tests.clients.environments import python_of

NOTHING = "# nothing\n"


@pytest.fixture
def pins(tmp_path: Path) -> Path:
    """A list of no packages."""
    path = tmp_path / "client.txt"
    path.write_text(NOTHING)
    return path


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """A folder with the environment of another client, of a similar name."""
    path = tmp_path / "cache"
    (path / "client-two-0123456789ab").mkdir(parents=True)
    return path


def names(cache: Path) -> set[str]:
    """Of the environments, half-done ones included."""
    return {path.name for path in cache.iterdir() if path.is_dir()}


def test_an_environment_is_kept_until_its_pins_change(pins: Path, cache: Path) -> None:
    """Then it goes, and that of another client stays; each sees the project's own packages."""
    python = python_of(pins, cache)
    mark = python.parent / "mark"
    mark.touch()
    assert python_of(pins, cache) == python
    assert mark.exists()
    pins.write_text(f"{NOTHING}{NOTHING}")
    other = python_of(pins, cache)
    assert names(cache) == {"client-two-0123456789ab", other.parents[1].name}
    assert other != python
    found = "import pydantic, sys; print(sys.prefix)"
    shown = subprocess.run([other, "-c", found], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == str(other.parents[1])


def test_what_cannot_be_installed_leaves_no_environment(pins: Path, cache: Path) -> None:
    """It raises, and what it left is no obstacle once the pins are right."""
    before = names(cache)
    pins.write_text(f"{cache / 'missing-1.0-py3-none-any.whl'}\n")
    with pytest.raises(subprocess.CalledProcessError):
        python_of(pins, cache)
    assert names(cache) == before | {"client.part"}
    (cache / "client.part" / "left").touch()
    pins.write_text(NOTHING)
    made = python_of(pins, cache).parents[1]
    assert names(cache) == before | {made.name}
    assert not (made / "left").exists()
