"""Which rollouts are restored, which of those are checked, and what a failed check leaves."""

from sim_workers.engine.messages import Rollout
from sim_workers.pool.restore_checks import RestoreChecks


def _rollout(state_id: str, ticket: int = 0) -> Rollout:
    return Rollout(
        state_id=state_id, signal_decisions=(), observe=("C",), horizon_s=30, ticket=ticket
    )


def test_simulations_that_are_asked_for_little_are_not_restored() -> None:
    """Only from the fourth rollout on, be they asked for at once or one by one."""
    checks = RestoreChecks(every=10)
    assert [checks.asked("a", 1) for _ in range(5)] == [False, False, False, True, True]
    assert checks.asked("b", 4)
    checks.closed("a")
    assert not checks.asked("a", 3)


def test_first_of_each_simulation_is_checked_and_then_one_in_so_many() -> None:
    """Counted over all simulations of a worker."""
    checks = RestoreChecks(every=4)
    due = []
    for number, state_id in enumerate("aaaaaabaaaaa"):
        rollout = _rollout(state_id, number)
        due.append(checks.is_due(rollout))
        if due[-1]:
            checks.passed(rollout)
    assert due == [True, *[False] * 3, True, False, True, *[False] * 3, True, False]


def test_failed_check_ends_restoring_and_leaves_what_is_doubtful() -> None:
    """All since the last good one, in order."""
    checks = RestoreChecks(every=3)
    first, *others = [_rollout("a", number) for number in range(4)]
    assert checks.is_due(first)
    checks.passed(first)
    assert [checks.is_due(rollout) for rollout in others] == [False, False, True]
    assert checks.failed() == tuple(others)
    assert not checks.is_restoring
    assert not checks.asked("a", 100)


def test_switched_off_nothing_is_restored() -> None:
    """By setting, or because the platform cannot."""
    assert not RestoreChecks(None).asked("a", 100)
    checks = RestoreChecks(5)
    checks.stop()
    assert not checks.asked("a", 100)
