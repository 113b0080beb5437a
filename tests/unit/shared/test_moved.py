"""Old import paths."""

import importlib
import importlib.util

import pytest

from shared.moved import _TABLE

MOVED = [tuple(line.split()) for line in _TABLE.read_text().splitlines()]


@pytest.mark.parametrize(("old", "new"), MOVED)
def test_old_path_names_the_new_one(old: str, new: str) -> None:
    """It fails, and what it names is there."""
    with pytest.raises(ModuleNotFoundError, match=f"{old} is now {new}$"):
        importlib.import_module(old)
    place, _, name = new.rpartition(".")
    is_content = hasattr(importlib.import_module(place), name)
    assert is_content or importlib.util.find_spec(new) is not None


def test_name_of_a_module_that_is_a_package_now() -> None:
    """``from`` the old module says where it went, too."""
    with pytest.raises(ImportError, match=r"is now sim_workers\.pool\.pool\.RolloutPool$"):
        __import__("sim_workers.pool", fromlist=["RolloutPool"])


def test_what_never_was_is_not_found_as_ever() -> None:
    """Nothing is made up."""
    with pytest.raises(ModuleNotFoundError, match=r"No module named 'sim_workers\.nothing'"):
        importlib.import_module("sim_workers.nothing")


def test_the_old_command_names_the_new_one() -> None:
    """``python -m cli`` was the command."""
    with pytest.raises(ImportError, match="python -m greenfork"):
        importlib.import_module("cli")
