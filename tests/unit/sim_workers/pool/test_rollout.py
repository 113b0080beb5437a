"""Where rollouts start: from files what was compared, by a replay the rest; and their digests."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.dataset import Action
from shared.decisions import Cycle, CycleGreen, Decision, Extend, NextPhase, Plan, PlanStep
from shared.domains.custom_metrics import CustomMetric
from shared.errors import RolloutRejected
from shared.wire.states import Fidelity, Restore
from sim_workers.engine.messages import Rollout, SignalDecision, Source
from sim_workers.pool import rollout as rollout_module
from sim_workers.pool.rollout import (
    check_end,
    fidelity_of,
    files_of,
    make_rollout,
    replay_of,
    restore_of,
    rollout_digest,
)
from sim_workers.states.store import StateStore, StoredState
from tests.unit.sim_workers.handmade_datasets import write_actions, write_dataset

_YES, _NO = Extend(extend=True), Extend(extend=False)


@pytest.fixture
def state(tmp_path: Path) -> StoredState:
    """A state that was proven for sixty seconds under both answers at signal c."""
    ids = write_dataset(tmp_path)
    return StateStore.open([tmp_path]).get(ids[0])


def _changed(state: StoredState, **fields: Any) -> StoredState:  # noqa: ANN401
    return dataclasses.replace(state, record=state.record.model_copy(update=fields))


def _way(state: StoredState, rollout: Rollout) -> tuple[Source, Restore]:
    return rollout.source, restore_of(state, rollout)


@pytest.mark.parametrize("decision", [_YES, _NO, Extend(extend=False, extend_s=30), None])
def test_what_was_compared_starts_from_the_file(
    decision: Decision | None, state: StoredState
) -> None:
    """Every legal answer, and the program left alone. The seconds of a no do not matter."""
    assert _way(state, make_rollout(state, {"c": decision}, 60)) == ("file", "state")


@pytest.mark.parametrize(
    "changes",
    [
        {"horizon_s": 61},
        {"decisions": {"c": Extend(extend=True, extend_s=10)}},
        {"decisions": {"c": NextPhase(next_phase=0, green_s=20)}},
        {"decisions": {"d": _YES}},
        {"decisions": {"c": _YES, "d": _YES}},
        {"follow_up": "max_pressure"},
    ],
)
def test_what_was_not_is_replayed_from_the_begin(
    changes: dict[str, Any], state: StoredState
) -> None:
    """So that it is exact all the same, with an anchor or without."""
    asked: dict[str, Any] = {"decisions": {"c": _YES}, "horizon_s": 60} | changes
    state = _with_d(state)
    for each in (state, _changed(state, restore="replay", anchor=state.record.state_id)):
        assert _way(each, make_rollout(each, **asked)) == ("begin", "replay")


def _with_d(state: StoredState) -> StoredState:
    """Signal d is like c, but nothing was proven of it."""
    signals = state.manifest.signals | {"d": state.signal("c")}
    manifest = state.manifest.model_copy(update={"signals": signals})
    shown = state.record.signals | {"d": state.record.signals["c"]}
    return dataclasses.replace(_changed(state, signals=shown), manifest=manifest)


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
    assert _way(state, make_rollout(state, {"c": _YES}, 60, reseed=reseed)) == expected


_DIGEST = "0123456789abcdef"


def test_worker_may_replay_what_a_file_restores(state: StoredState, tmp_path: Path) -> None:
    """It is told when the state is and what it looks like then; the actions come once a run."""
    actions = (Action(time_s=5, tls_id="c", remaining_s=1),)
    write_actions(tmp_path, actions)
    state = _changed(StateStore.open([tmp_path]).get(state.record.state_id), digest=_DIGEST)
    rollout = make_rollout(state, {"c": _YES}, 60)
    replay = replay_of(state, rollout)
    assert replay is not None
    assert (replay.has_file, replay.origin_s, replay.origin_digest) == (True, 600, _DIGEST)
    assert (replay.state, replay.scenario, replay.run_actions) == (None, None, None)
    whole = files_of(state, rollout, with_scenario=False, with_choice=True)
    assert whole.state == state.read()
    assert whole.run_actions == actions
    assert replay == dataclasses.replace(whole, state=None, run_actions=None)


@pytest.mark.parametrize(
    ("fields", "horizon_s", "reseed"),
    [
        ({"digest": None}, 60, None),
        ({"restore": "unverified"}, 60, None),
        ({}, 60, 3),
        ({}, 61, None),
    ],
)
def test_worker_may_not_choose_otherwise(
    fields: dict[str, Any], horizon_s: int, reseed: int | None, state: StoredState
) -> None:
    """Nobody knows the moment, nothing is proven, it is another simulation, or no file will do."""
    state = _changed(state, **({"digest": _DIGEST} | fields))
    rollout = make_rollout(state, {"c": _YES}, horizon_s, reseed=reseed)
    assert replay_of(state, rollout) is None
    files = files_of(state, rollout, with_scenario=False, with_choice=True)
    assert (files.has_file, files.origin_s, files.run_actions) == (False, None, None)


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
    assert fidelity_of(state, make_rollout(state, {"c": _YES}, horizon_s)) == expected


def test_result_that_nothing_was_compared_with_is_unchecked(state: StoredState) -> None:
    """Other seeds than the run's, and states whose restoring was not proven."""
    state = _run(state, fidelity="own", compared_to_s=3600.0)
    assert fidelity_of(state, make_rollout(state, {"c": _YES}, 60, reseed=3)) == "unchecked"
    unverified = _changed(state, restore="unverified")
    assert fidelity_of(unverified, make_rollout(unverified, {"c": _YES}, 60)) == "unchecked"


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


def _made(
    decisions: Mapping[str, Decision | None],
    state_id: str = "town@1-000000000000",
    horizon_s: int = 60,
    **others: Any,  # noqa: ANN401
) -> Rollout:
    """A rollout of no real state."""
    limits = {"elapsed_s": 0, "min_green_s": 5, "max_green_s": 60}
    return Rollout(
        state_id=state_id,
        signal_decisions=tuple(
            SignalDecision(tls_id=tls_id, decision=decision, **limits)
            for tls_id, decision in sorted(decisions.items())
            if decision is not None
        ),
        observe=tuple(sorted(decisions)),
        horizon_s=horizon_s,
        **others,
    )


_SECONDS = st.integers(1, 3600)
_PHASES = st.integers(0, 3)
_DECISIONS: st.SearchStrategy[Decision] = st.one_of(
    st.builds(Extend, extend=st.booleans(), extend_s=_SECONDS),
    st.builds(NextPhase, next_phase=_PHASES, green_s=_SECONDS),
    st.builds(
        Cycle,
        greens=st.lists(st.builds(CycleGreen, phase=_PHASES, green_s=_SECONDS), min_size=1).map(
            tuple
        ),
    ),
    st.builds(
        Plan,
        steps=st.lists(st.builds(PlanStep, extend=st.booleans()), min_size=1).map(tuple),
        extend_s=_SECONDS,
    ),
)
_ROLLOUTS = st.builds(
    _made,
    st.dictionaries(st.text(max_size=4), st.none() | _DECISIONS, max_size=3),
    state_id=st.text(max_size=8),
    horizon_s=_SECONDS,
    follow_up=st.sampled_from(("program", "max_pressure")),
    reseed=st.none() | st.integers(0, 3),
)


@pytest.mark.parametrize(
    ("decisions", "digest"),
    [
        ({"c": _YES}, "07ab9525ac3e93bdc38dde1305892f9e5143ca77a8662266b5a728da6ad58075"),
        ({"a": _NO, "c": _YES}, "b0b21cb9ef30ef46d79c60ddf3522ef00a32e4e572cdffb932fe89f32bba74c5"),
    ],
)
def test_digest_never_changes(decisions: dict[str, Decision], digest: str) -> None:
    """Ledgers keep keys: these were written down when revision 3 of the engine was made."""
    assert rollout_digest(_made(decisions), "1.28.0") == digest


def test_seconds_of_a_no_do_not_matter() -> None:
    """Ending the green is the same whatever an extension would have been."""
    noes = [_made({"c": Extend(extend=False, extend_s=seconds)}) for seconds in (1, 5, 60)]
    assert len({rollout_digest(no, "1") for no in noes}) == 1


@pytest.mark.parametrize(
    "other",
    [
        _made({"c": _YES}, state_id="town@2-000000000000"),
        _made({"d": _YES}),
        _made({"c": _YES, "d": None}),
        _made({"c": None}),
        _made({"c": _NO}),
        _made({"c": Extend(extend=True, extend_s=6)}),
        _made({"c": _YES, "d": _YES}),
        _made({"c": _YES}, horizon_s=61),
        _made({"c": _YES}, follow_up="max_pressure"),
        _made({"c": _YES}, reseed=0),
        _made({"c": _YES}, reseed=1),
        _made({"c": _YES}, custom=(CustomMetric(name="co2", digest="0" * 64),)),
    ],
)
def test_other_work_has_another_digest(other: Rollout) -> None:
    """Every part of a rollout tells it apart."""
    assert rollout_digest(other, "1.28.0") != rollout_digest(_made({"c": _YES}), "1.28.0")


def test_a_users_own_metric_is_told_apart_by_its_code() -> None:
    """Another name or another digest is other work; the order in which they are named is not."""
    one, other = (CustomMetric(name=name, digest="0" * 64) for name in "ab")
    changed = one.model_copy(update={"digest": "1" * 64})
    digests = {
        rollout_digest(_made({"c": _YES}, custom=custom), "1.28.0")
        for custom in ((one,), (other,), (changed,), (one, other), ())
    }
    assert len(digests) == 5


def test_digests_are_those_of_earlier_versions() -> None:
    """Ledgers outlive versions: what was recorded before there were users' own metrics is found."""
    rollout = Rollout(
        state_id="town@1-000000000000",
        signal_decisions=(
            SignalDecision(tls_id="c", decision=_YES, elapsed_s=8, min_green_s=5, max_green_s=60),
        ),
        observe=("c",),
        horizon_s=60,
    )
    expected = "07ab9525ac3e93bdc38dde1305892f9e5143ca77a8662266b5a728da6ad58075"
    assert rollout_digest(rollout, "1.28.0") == expected


def test_nobody_follows_up_what_nobody_decided(state: StoredState) -> None:
    """The program left alone is one rollout, whoever would have followed."""
    followed = make_rollout(state, {"c": None}, 60, "max_pressure")
    assert followed == make_rollout(state, {"c": None}, 60)


def test_other_simulators_and_engines_have_other_digests(monkeypatch: pytest.MonkeyPatch) -> None:
    """What another version computed is not found again."""
    before = rollout_digest(_made({"c": _YES}), "1.28.0")
    assert rollout_digest(_made({"c": _YES}), "1.28.1") != before
    monkeypatch.setattr(rollout_module, "ENGINE_REVISION", rollout_module.ENGINE_REVISION + 1)
    assert rollout_digest(_made({"c": _YES}), "1.28.0") != before


def _effect(rollout: Rollout) -> tuple[object, ...]:
    decisions = [(one.tls_id, _meaning(one.decision)) for one in rollout.signal_decisions]
    who = (rollout.state_id, rollout.observe, decisions)
    return (*who, rollout.horizon_s, rollout.follow_up, rollout.reseed)


def _meaning(decision: Decision) -> Decision:
    match decision:
        case Extend(extend=False):
            return _NO
        case Plan(steps=(PlanStep(extend=False),)):
            return Plan(steps=decision.steps)
    return decision


@given(_ROLLOUTS, _ROLLOUTS)
def test_digests_are_equal_exactly_where_the_work_is(one: Rollout, other: Rollout) -> None:
    """No two pieces of work share one, however ids are spelt, and equal ones always do."""
    are_equal = rollout_digest(one, "1") == rollout_digest(other, "1")
    assert are_equal == (_effect(one) == _effect(other))


@given(st.text(max_size=4), st.text(max_size=4))
def test_ids_cannot_run_into_each_other(left: str, right: str) -> None:
    """Moving a character from one id to its neighbour changes the digest."""
    rollouts = [
        _made({right: None}, state_id=left + "x", horizon_s=1),
        _made({"x" + right: None}, state_id=left, horizon_s=1),
    ]
    assert len({rollout_digest(rollout, "1") for rollout in rollouts}) == 2
