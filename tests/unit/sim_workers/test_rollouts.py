"""Keys of rollouts: equal work has an equal key, other work another."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.decisions import Decision, Extend
from sim_workers import rollouts
from sim_workers.rollouts import RolloutTask

_TASK = RolloutTask("town@1-000000000000", "c", Extend(extend=True), 60)

_DECISIONS = st.none() | st.builds(Extend, extend=st.booleans(), extend_s=st.integers(1, 3600))
_TASKS = st.builds(
    RolloutTask,
    state_id=st.text(max_size=8),
    tls_id=st.text(max_size=8),
    decision=_DECISIONS,
    horizon_s=st.integers(1, 3600),
)


def test_key_is_a_sha256() -> None:
    """64 hex digits, the same whenever it is asked for."""
    assert len(_TASK.key("1.28.0")) == 64
    assert int(_TASK.key("1.28.0"), 16) > 0
    assert _TASK.key("1.28.0") == dataclasses.replace(_TASK).key("1.28.0")


def test_key_never_changes() -> None:
    """Ledgers keep keys: this one was written down when revision 2 of the engine was made."""
    assert _TASK.key("1.28.0") == "b35561d37e0111d068bd02643338014ef6d54c7dbc354d0b6aaff25398e609ef"


def test_seconds_of_a_no_do_not_matter() -> None:
    """Ending the green is the same whatever an extension would have been."""
    keys = {
        dataclasses.replace(_TASK, decision=Extend(extend=False, extend_s=s)).key("1.28.0")
        for s in (1, 5, 60)
    }
    assert len(keys) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"state_id": "town@2-000000000000"},
        {"tls_id": "d"},
        {"decision": None},
        {"decision": Extend(extend=False)},
        {"decision": Extend(extend=True, extend_s=6)},
        {"horizon_s": 61},
    ],
)
def test_other_work_has_another_key(change: dict[str, str | Decision | int | None]) -> None:
    """Every part of a rollout tells it apart."""
    other = dataclasses.replace(_TASK, **change)  # type: ignore[arg-type]
    assert other.key("1.28.0") != _TASK.key("1.28.0")


def test_other_simulators_and_engines_have_other_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """What another version computed is not found again."""
    before = _TASK.key("1.28.0")
    assert _TASK.key("1.28.1") != before
    monkeypatch.setattr(rollouts, "ENGINE_REVISION", rollouts.ENGINE_REVISION + 1)
    assert _TASK.key("1.28.0") != before


def _effect(task: RolloutTask) -> tuple[object, ...]:
    decision = task.decision
    if decision is not None and not decision.extend:
        decision = Extend(extend=False)
    return task.state_id, task.tls_id, decision, task.horizon_s


@given(_TASKS, _TASKS)
def test_keys_are_equal_exactly_where_the_work_is(one: RolloutTask, other: RolloutTask) -> None:
    """No two pieces of work share a key, however ids are spelt, and equal ones always do."""
    assert (one.key("1") == other.key("1")) == (_effect(one) == _effect(other))


@given(st.text(max_size=4), st.text(max_size=4))
def test_ids_cannot_run_into_each_other(left: str, right: str) -> None:
    """Moving a character from one id to its neighbour changes the key."""
    task = RolloutTask(left + "x", right, None, 1)
    shifted = RolloutTask(left, "x" + right, None, 1)
    assert task.key("1") != shifted.key("1")
