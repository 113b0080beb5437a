"""Which rows a sample takes, which SUMO is taken, and how a promotion is written."""

import json
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import InputError
from sim_workers.verification import sumo_process as sumo_program
from sim_workers.verification.promotion import promote
from sim_workers.verification.sumo_process import find_sumo
from sim_workers.verification.verifier import choose_rows
from tests.unit.sim_workers.handmade_datasets import write_dataset
from tests.unit.sim_workers.verification.test_comparison import make_row

_ROWS = [
    *(make_row("state", f"s{i}") for i in range(50)),
    *(make_row("replay", f"r{i}") for i in range(3)),
    make_row("unverified", "u0"),
]


@given(sample=st.integers(1, 60), seed=st.integers(0, 1000))
def test_sample_has_every_way_of_restoring(sample: int, seed: int) -> None:
    """So many rows, in their order, of each way at least one where there is room."""
    chosen = choose_rows(_ROWS, sample, seed)
    assert len(chosen) == min(sample, len(_ROWS))
    assert chosen == [row for row in _ROWS if row in chosen]
    assert len({row.restore for row in chosen}) == min(sample, 3) or sample < 3
    assert chosen == choose_rows(_ROWS, sample, seed)


def test_samples_differ_by_seed() -> None:
    """And no sample is everything."""
    assert choose_rows(_ROWS, 10, 1) != choose_rows(_ROWS, 10, 2)
    assert choose_rows(_ROWS, None, 1) == _ROWS


def test_promotion_changes_only_what_it_is_about(tmp_path: Path) -> None:
    """Of the other states every byte stays, and nothing is left beside the files."""
    exact, other = write_dataset(tmp_path)
    index, rows = tmp_path / "states" / "index.jsonl", tmp_path / "train.jsonl"
    rows.write_text(f'{{"state_id": "{exact}", "x": 0.1}}\n{{"state_id":  "{other}"}}\n')
    before = index.read_bytes().splitlines()
    promote(tmp_path, {exact: "replay"}, 60, {exact: {"c": "extend"}})
    changed, unchanged = index.read_bytes().splitlines()
    assert unchanged == before[1]
    fields = {"restore": "replay", "verified_s": 60, "proven": {"c": "extend"}}
    assert json.loads(changed) == json.loads(before[0]) | fields
    first, second = rows.read_text().splitlines()
    assert json.loads(first) == {"state_id": exact, "x": 0.1, "restore": "replay"}
    assert second == f'{{"state_id":  "{other}"}}'
    assert Counter(path.suffix for path in tmp_path.rglob(".*")) == {}


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program that says it is SUMO 1.2.3; nothing else is installed."""
    home = tmp_path / "sumo"
    (home / "bin").mkdir(parents=True)
    program = home / "bin" / "sumo"
    program.write_text("#!/bin/sh\necho Eclipse SUMO sumo 1.2.3\n")
    program.chmod(0o755)
    monkeypatch.setattr(
        sumo_program, "find_spec", lambda name: object() if name == "traci" else None
    )
    monkeypatch.setenv("SUMO_HOME", str(home))
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    return program


def test_sumo_home_is_looked_into(program: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And then the path."""
    assert find_sumo("1.2.3") == program
    monkeypatch.delenv("SUMO_HOME")
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    assert find_sumo("1.2.3") == program


def test_another_sumo_is_refused(program: Path) -> None:
    """Both versions are named, and what to install."""
    with pytest.raises(InputError) as raised:
        find_sumo("1.28.0")
    assert raised.value.code == "sumo_of_other_version"
    assert "1.2.3" in raised.value.message
    assert "pip install eclipse-sumo==1.28.0" in raised.value.message


def test_missing_sumo_says_what_to_install(program: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The program, or the client that drives it."""
    program.unlink()
    monkeypatch.setenv("PATH", "/nowhere")
    for found in (lambda name: object() if name == "traci" else None, lambda name: None):
        monkeypatch.setattr(sumo_program, "find_spec", found)
        with pytest.raises(InputError) as raised:
            find_sumo("1.2.3")
        assert raised.value.code == "sumo_missing"
        assert "pip install 'greenfork[verify]'" in raised.value.message
