"""``import greenfork``: what users import, and that it costs nothing until it is used."""

import json
import subprocess
import sys

import pytest

import greenfork


@pytest.mark.parametrize("name", greenfork.__all__)
def test_name_is_there(name: str) -> None:
    """Each is the thing of that name."""
    assert getattr(greenfork, name).__name__ == name


def test_unknown_name() -> None:
    """As of any module."""
    with pytest.raises(AttributeError, match="no attribute 'reward'"):
        _ = greenfork.reward


def test_import_loads_nothing_else() -> None:
    """Neither our other packages nor a library that is not Python's own."""
    code = (
        "import sys, json; before = set(sys.modules); import greenfork\n"
        "print(json.dumps(sorted({m.partition('.')[0] for m in set(sys.modules) - before})))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert set(json.loads(run.stdout)) <= {"greenfork"} | sys.stdlib_module_names
