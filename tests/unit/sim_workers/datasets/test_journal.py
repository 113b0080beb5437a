"""A journal keeps what is complete, whatever happens to its end."""

import hashlib
from pathlib import Path

import pytest

from shared.dataset import Action, DatasetLayout
from shared.signals import SignalState
from shared.wire.states import StateRecord
from sim_workers.datasets.journal import Journal, JournalEntry
from sim_workers.engine.version import simulator


@pytest.fixture
def layout(tmp_path: Path) -> DatasetLayout:
    """A dataset without anything in it."""
    layout = DatasetLayout(tmp_path)
    layout.states.mkdir()
    return layout


def _entry(layout: DatasetLayout, slot: int) -> JournalEntry:
    content = f"state {slot}".encode()
    state_id = f"town@{slot}-{hashlib.sha256(content).hexdigest()[:12]}"
    layout.state_file(state_id).write_bytes(content)
    record = StateRecord(
        state_id=state_id,
        scenario_id="town-0",
        time_s=slot,
        seed=1,
        run="seed1",
        restore="state",
        verified_s=60,
        simulator=simulator(),
        signals={"c": SignalState(program_id="0", phase=0, elapsed_s=0.1)},
    )
    actions = (Action(time_s=slot, tls_id="c", remaining_s=5),)
    return JournalEntry(slot=slot, record=record, rows=(), actions=actions)


def _written(layout: DatasetLayout, count: int = 3) -> tuple[Path, list[JournalEntry]]:
    path = layout.root / "seed1.jsonl"
    entries = [_entry(layout, slot) for slot in range(count)]
    for entry in entries:
        Journal(path, layout).append(entry)
    return path, entries


def test_what_is_appended_is_read_again(layout: DatasetLayout) -> None:
    """By the process that wrote it and by the next one."""
    path, entries = _written(layout)
    assert Journal(path, layout).read() == entries
    assert Journal(path, layout).recover() == entries


def test_journal_that_was_never_begun_is_empty(layout: DatasetLayout) -> None:
    """And reading it makes no file."""
    path = layout.root / "seed1.jsonl"
    assert Journal(path, layout).read() == Journal(path, layout).recover() == []
    assert not path.exists()


@pytest.mark.parametrize("kept", [0, 1, 100, -1])
def test_torn_last_line_is_dropped_and_can_be_written_again(
    kept: int, layout: DatasetLayout
) -> None:
    """However much of it arrived; even all of it but the end of the line."""
    path, entries = _written(layout)
    *_, last = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(path.read_bytes().removesuffix(last) + last[:kept])
    journal = Journal(path, layout)
    assert journal.recover() == entries[:-1]
    journal.append(entries[-1])
    assert journal.read() == entries


@pytest.mark.parametrize("damage", ["missing", "changed"])
def test_states_without_their_file_are_made_again(damage: str, layout: DatasetLayout) -> None:
    """So are those after them: a run goes on from one place."""
    path, entries = _written(layout)
    file = layout.state_file(entries[1].record.state_id)
    if damage == "missing":
        file.unlink()
    else:
        file.write_bytes(b"half")
    assert Journal(path, layout).recover() == entries[:1]
    assert path.read_bytes().count(b"\n") == 1
