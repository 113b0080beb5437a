"""Regrets out of a dataset's rows."""

from typing import Any

import pytest

from shared.decisions import Decision, Extend, NextPhase
from trainer.regret import KnownRegrets

METRICS = {
    "queue_veh_max": 9,
    "wait_s": 0.0,
    "throughput_veh": 0,
    "pressure_veh": 0.0,
    "network_queue_veh": 0.0,
    "speed_mps": None,
}
YES, NO = Extend(extend=True), Extend(extend=False)


def _outcome(is_yes: bool, queue_veh: float) -> dict[str, Any]:
    """As a table of rows holds it: what other kinds of decision have is there, and None."""
    return {
        "decision": {"kind": "extend", "extend": is_yes, "extend_s": 5, "next_phase": None},
        "metrics": METRICS | {"queue_veh": queue_veh},
    }


KNOWN = [_outcome(True, 4.0), _outcome(False, 1.5)]


@pytest.mark.parametrize(
    ("decisions", "mean"),
    [
        ([YES], 2.5),
        ([NO], 0.0),
        ([YES, NO, None], 1.25),
        ([None], None),
        ([Extend(extend=True, extend_s=20)], None),
        ([NextPhase(next_phase=2, green_s=10), YES], 2.5),
        ([], None),
    ],
)
def test_mean_over_what_is_known(decisions: list[Decision | None], mean: float | None) -> None:
    """Of decisions that are among the outcomes; the others are left out."""
    count = len(decisions)
    assert KnownRegrets().mean(["s"] * count, [KNOWN] * count, decisions) == mean


@pytest.mark.parametrize("outcomes", [None, [], [{"decision": {"kind": "x"}, "metrics": {}}], [7]])
def test_rows_that_do_not_tell(outcomes: Any) -> None:  # noqa: ANN401 - whatever stands there
    """No column, an empty one, or somebody else's."""
    assert KnownRegrets().mean(["s"], [outcomes], [YES]) is None


def test_points_are_kept_apart() -> None:
    """Each has outcomes of its own."""
    other = [_outcome(True, 1.0), _outcome(False, 7.0)]
    assert KnownRegrets().mean("ab", [KNOWN, other], [YES, YES]) == 1.25
