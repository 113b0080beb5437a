"""A file is used for what was compared when its state was saved, a replay for everything else."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from shared.decisions import Decision, Extend, NextPhase
from shared.states import Restore
from sim_workers.rollouts import RolloutTask
from sim_workers.sources import Source, restore_of, source_of
from sim_workers.store import StateStore, StoredState
from tests.unit.sim_workers.datasets import write_dataset

_YES, _NO = Extend(extend=True), Extend(extend=False)


@pytest.fixture
def state(tmp_path: Path) -> StoredState:
    """A state that was proven for sixty seconds under both answers at signal c."""
    ids = write_dataset(tmp_path)
    return StateStore.open([tmp_path]).get(ids[0])


def _changed(state: StoredState, **fields: Any) -> StoredState:  # noqa: ANN401
    return dataclasses.replace(state, record=state.record.model_copy(update=fields))


def _task(state: StoredState, decision: Decision | None, horizon_s: int = 60) -> RolloutTask:
    return RolloutTask.of(state.record.state_id, "c", decision, horizon_s)


@pytest.mark.parametrize("decision", [_YES, _NO, Extend(extend=False, extend_s=30), None])
def test_what_was_compared_starts_from_the_file(
    decision: Decision | None, state: StoredState
) -> None:
    """Every legal answer, and the program left alone. The seconds of a no do not matter."""
    task = _task(state, decision)
    assert (source_of(state, task), restore_of(state, task)) == ("file", "state")


@pytest.mark.parametrize(
    "changes",
    [
        {"horizon_s": 61},
        {"decisions": (("c", Extend(extend=True, extend_s=10)),)},
        {"decisions": (("c", NextPhase(next_phase=0, green_s=20)),)},
        {"decisions": (("b", _YES),)},
        {"decisions": (("b", _YES), ("c", _YES))},
        {"follow_up": "max_pressure"},
    ],
)
def test_what_was_not_is_replayed_from_the_begin(
    changes: dict[str, Any], state: StoredState
) -> None:
    """So that it is exact all the same, with an anchor or without."""
    task = dataclasses.replace(_task(state, _YES), **changes)
    for each in (state, _changed(state, restore="replay", anchor=state.record.state_id)):
        assert (source_of(each, task), restore_of(each, task)) == ("begin", "replay")


@pytest.mark.parametrize(
    ("restore", "has_anchor", "reseed", "expected"),
    [
        ("replay", True, None, ("anchor", "replay")),
        ("replay", False, None, ("begin", "replay")),
        ("unverified", False, None, ("file", "unverified")),
        ("state", False, 3, ("file", "state")),
        ("replay", True, 3, ("file", "unverified")),
        ("unverified", False, 3, ("file", "unverified")),
    ],
)
def test_other_ways_back(
    restore: Restore,
    has_anchor: bool,
    reseed: int | None,
    expected: tuple[Source, Restore],
    state: StoredState,
) -> None:
    """Replayed states from their anchor or begin; other seeds, and what is unproven, from files."""
    anchor = state.record.state_id if has_anchor else None
    state = _changed(state, restore=restore, anchor=anchor)
    task = dataclasses.replace(_task(state, _YES), reseed=reseed)
    assert (source_of(state, task), restore_of(state, task)) == expected
