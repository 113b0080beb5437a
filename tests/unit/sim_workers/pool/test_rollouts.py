"""Keys of rollouts: equal work has an equal key, other work another."""

import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.decisions import Cycle, CycleGreen, Decision, Extend, NextPhase, Plan, PlanStep
from sim_workers.pool import rollouts
from sim_workers.pool.rollouts import RolloutTask

_YES, _NO = Extend(extend=True), Extend(extend=False)
_TASK = RolloutTask.of("town@1-000000000000", "c", _YES, 60)
_JOINT = RolloutTask("town@1-000000000000", ("a", "c"), (("a", _NO), ("c", _YES)), 60)

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
_BY_SIGNAL = st.dictionaries(st.text(max_size=4), _DECISIONS, max_size=2)
_TASKS = st.builds(
    RolloutTask,
    state_id=st.text(max_size=8),
    observe=st.lists(st.text(max_size=4), max_size=3).map(tuple),
    decisions=_BY_SIGNAL.map(lambda some: tuple(sorted(some.items(), key=lambda pair: pair[0]))),
    horizon_s=_SECONDS,
    follow_up=st.sampled_from(("program", "max_pressure")),
    reseed=st.none() | st.integers(0, 3),
)


def test_task_of_one_signal() -> None:
    """It is decided and watched; without a decision only watched."""
    assert RolloutTask("town@1-000000000000", ("c",), (("c", _YES),), 60) == _TASK
    assert RolloutTask.of("s", "c", None, 60) == RolloutTask("s", ("c",), (), 60)


def test_key_is_a_sha256() -> None:
    """64 hex digits, the same whenever it is asked for."""
    assert len(_TASK.key("1.28.0")) == 64
    assert int(_TASK.key("1.28.0"), 16) > 0
    assert _TASK.key("1.28.0") == dataclasses.replace(_TASK).key("1.28.0")


@pytest.mark.parametrize(
    ("task", "key"),
    [
        (_TASK, "07ab9525ac3e93bdc38dde1305892f9e5143ca77a8662266b5a728da6ad58075"),
        (_JOINT, "b0b21cb9ef30ef46d79c60ddf3522ef00a32e4e572cdffb932fe89f32bba74c5"),
    ],
)
def test_key_never_changes(task: RolloutTask, key: str) -> None:
    """Ledgers keep keys: these were written down when revision 3 of the engine was made."""
    assert task.key("1.28.0") == key


def test_seconds_of_a_no_do_not_matter() -> None:
    """Ending the green is the same whatever an extension would have been."""
    keys = {
        RolloutTask.of("s", "c", Extend(extend=False, extend_s=s), 60).key("1") for s in (1, 5, 60)
    }
    assert len(keys) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"state_id": "town@2-000000000000"},
        {"observe": ("d",)},
        {"observe": ("c", "d")},
        {"decisions": ()},
        {"decisions": (("d", _YES),)},
        {"decisions": (("c", _NO),)},
        {"decisions": (("c", Extend(extend=True, extend_s=6)),)},
        {"decisions": (("c", _YES), ("d", _YES))},
        {"horizon_s": 61},
        {"follow_up": "max_pressure"},
        {"reseed": 0},
        {"reseed": 1},
    ],
)
def test_other_work_has_another_key(change: dict[str, Any]) -> None:
    """Every part of a rollout tells it apart."""
    assert dataclasses.replace(_TASK, **change).key("1.28.0") != _TASK.key("1.28.0")


def test_nobody_follows_up_what_nobody_decided() -> None:
    """The program left alone is one rollout, whoever would have followed."""
    alone = RolloutTask.of("s", "c", None, 60)
    followed = dataclasses.replace(alone, follow_up="max_pressure")
    assert alone.key("1") == followed.key("1")


def test_other_simulators_and_engines_have_other_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """What another version computed is not found again."""
    before = _TASK.key("1.28.0")
    assert _TASK.key("1.28.1") != before
    monkeypatch.setattr(rollouts, "ENGINE_REVISION", rollouts.ENGINE_REVISION + 1)
    assert _TASK.key("1.28.0") != before


def _effect(task: RolloutTask) -> tuple[object, ...]:
    decisions = [(tls_id, _meaning(decision)) for tls_id, decision in task.decisions]
    follow_up = task.follow_up if decisions else "program"
    return task.state_id, task.observe, decisions, task.horizon_s, follow_up, task.reseed


def _meaning(decision: Decision) -> Decision:
    match decision:
        case Extend(extend=False):
            return _NO
        case Plan(steps=(PlanStep(extend=False),)):
            return Plan(steps=decision.steps)
    return decision


@given(_TASKS, _TASKS)
def test_keys_are_equal_exactly_where_the_work_is(one: RolloutTask, other: RolloutTask) -> None:
    """No two pieces of work share a key, however ids are spelt, and equal ones always do."""
    assert (one.key("1") == other.key("1")) == (_effect(one) == _effect(other))


@given(st.text(max_size=4), st.text(max_size=4))
def test_ids_cannot_run_into_each_other(left: str, right: str) -> None:
    """Moving a character from one id to its neighbour changes the key."""
    keys = {
        RolloutTask(left + "x", (right,), (), 1).key("1"),
        RolloutTask(left, ("x" + right,), (), 1).key("1"),
        RolloutTask(left, ("x", right), (), 1).key("1"),
    }
    assert len(keys) == 3
