"""The environment of simulation processes."""

import site
import sys
from pathlib import Path

import pytest

import sim_workers
from sim_workers.sandbox.confinement import confined_program, environment, python_command


@pytest.mark.parametrize(
    "name",
    ["MALLOC_MMAP_THRESHOLD_", "MALLOC_ARENA_MAX", "GLIBC_TUNABLES", "LD_PRELOAD", "PYTHONMALLOC"],
)
def test_heap_of_a_simulation_cannot_be_moved(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """SUMO's results can depend on the order of addresses."""
    monkeypatch.setenv(name, "1")
    assert name not in environment()


def test_only_listed_variables_are_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where SUMO's data is arrives; a key does not."""
    monkeypatch.setenv("SUMO_HOME", "/opt/sumo")
    monkeypatch.setenv("GREENFORK_API_KEY", "secret")
    monkeypatch.setenv("PATH", "/usr/bin")
    found = environment()
    assert found["SUMO_HOME"] == "/opt/sumo"
    assert "secret" not in found.values()
    assert "PATH" not in found


def test_package_is_found_wherever_it_lies(monkeypatch: pytest.MonkeyPatch) -> None:
    """A working tree is named; other folders that the caller imports from are not."""
    monkeypatch.setenv("PYTHONPATH", "/somewhere/else")
    named = environment().get("PYTHONPATH", "").split(":")
    assert "/somewhere/else" not in named
    root = str(Path(sim_workers.__file__).resolve().parents[1])
    assert (root in named) != (root in site.getsitepackages())


def test_python_does_not_import_from_where_it_is_started() -> None:
    """A scenario's folder may hold a module named like one of ours."""
    assert python_command("-m", "x") == [sys.executable, "-P", "-m", "x"]


def test_program_is_started_with_its_rules() -> None:
    """In front of its own command."""
    command = confined_program(["sumo", "-c", "a"], read=[Path("/r")], write=[Path("/w")])
    assert command[-4:] == ['{"read": ["/r"], "write": ["/w"]}', "sumo", "-c", "a"]
