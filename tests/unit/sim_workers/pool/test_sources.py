"""A file is used for what was compared when its state was saved, a replay for everything else."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from shared.decisions import Decision, Extend, NextPhase
from shared.errors import RolloutRejected
from shared.wire.states import Fidelity, Restore
from sim_workers.pool.rollouts import RolloutTask
from sim_workers.pool.sources import Source, check_end, fidelity_of, restore_of, source_of
from sim_workers.states.store import StateStore, StoredState
from tests.unit.sim_workers.handmade_datasets import write_dataset

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


def _run(state: StoredState, **fields: Any) -> StoredState:  # noqa: ANN401
    runs = tuple(run.model_copy(update=fields) for run in state.manifest.simulations)
    manifest = state.manifest.model_copy(update={"simulations": runs})
    return dataclasses.replace(state, manifest=manifest)


@pytest.mark.parametrize(
    ("fidelity", "compared_to_s", "horizon_s", "expected"),
    [
        ("own", 660.0, 60, "own"),
        ("own", 660.0, 61, "unchecked"),
        ("own", None, 60, "unchecked"),
        ("bundle", 660.0, 60, "bundle"),
        ("bundle", None, 61, "bundle"),
        ("unchecked", None, 60, "unchecked"),
    ],
)
def test_result_is_of_the_users_own_simulation_as_far_as_that_was_compared(
    fidelity: Fidelity,
    compared_to_s: float | None,
    horizon_s: int,
    expected: Fidelity,
    state: StoredState,
) -> None:
    """The state is at 600 s; nothing is known of what comes after the comparison."""
    state = _run(state, fidelity=fidelity, compared_to_s=compared_to_s)
    assert fidelity_of(state, _task(state, _YES, horizon_s)) == expected


def test_result_that_nothing_was_compared_with_is_unchecked(state: StoredState) -> None:
    """Other seeds than the run's, and states whose restoring was not proven."""
    state = _run(state, fidelity="own", compared_to_s=3600.0)
    reseeded = dataclasses.replace(_task(state, _YES), reseed=3)
    assert fidelity_of(state, reseeded) == "unchecked"
    unverified = _changed(state, restore="unverified")
    assert fidelity_of(unverified, _task(unverified, _YES)) == "unchecked"


def _ending(state: StoredState, end_s: float | None) -> StoredState:
    scenario = state.manifest.scenario.model_copy(update={"end_s": end_s})
    manifest = state.manifest.model_copy(update={"scenario": scenario})
    return dataclasses.replace(state, manifest=manifest)


@pytest.mark.parametrize("end_s", [None, 660.0, 900.0])
def test_horizon_up_to_the_end_is_accepted(end_s: float | None, state: StoredState) -> None:
    """And any, where the configuration names no end."""
    check_end(_ending(state, end_s), 60)


@pytest.mark.parametrize(("end_s", "left_s"), [(659.5, "59 s"), (600.0, "0 s"), (300.0, "0 s")])
def test_horizon_beyond_the_end_is_refused(end_s: float, left_s: str, state: StoredState) -> None:
    """Nobody can say what would be true then; the message says how far one may go."""
    with pytest.raises(RolloutRejected, match=f"at most {left_s}$") as refused:
        check_end(_ending(state, end_s), 60)
    assert refused.value.code == "beyond_end"
