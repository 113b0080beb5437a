"""What a signal shows second by second under each kind of decision, on a program made up here."""

from collections.abc import Mapping

import pytest

from shared.decisions import (
    Cycle,
    CycleGreen,
    Decision,
    Extend,
    NextPhase,
    Plan,
    PlanStep,
)
from shared.rewards import FollowUp
from shared.signals import Phase, Program
from sim_workers.engine.signal_control import (
    Command,
    Control,
    SignalView,
    carry_out,
    commands_of,
    greedy,
    max_pressure,
)

_PROGRAM = Program(
    program_id="0",
    kind="static",
    phases=(
        Phase(duration_s=10, state="Grr"),
        Phase(duration_s=2, state="yrr"),
        Phase(duration_s=1, state="rrr"),
        Phase(duration_s=8, state="rGr"),
        Phase(duration_s=3, state="ryr"),
        Phase(duration_s=6, state="rrG"),
        Phase(duration_s=2, state="rry"),
    ),
)
"""Greens 0, 3 and 5; an all-red second after the first."""


def _view(
    counts: Mapping[int, int] | None = None, phase: int = 0, program: Program = _PROGRAM
) -> SignalView:
    """A signal whose greens last from 5 to 60 s, and whose pressures and vehicles are the same."""
    return SignalView(program, 5, 60, lambda: counts or {}, lambda: counts or {}, phase)


def _shown(view: SignalView, decided: Control, seconds: int, elapsed_s: float = 6) -> list[int]:
    """The phase in each second: SUMO's part of it, for a program with fixed durations."""
    view.elapsed_s = elapsed_s
    view.switch_s = view.program.phases[view.phase].duration_s - elapsed_s
    return _shown_on(view, decided, seconds)


def _shown_on(view: SignalView, decided: Control, seconds: int) -> list[int]:
    """The same from where a signal is."""
    phases, shown = view.program.phases, []
    for _ in range(seconds):
        for command in decided:
            if command is None:
                break
            if command.phase is not None:
                view.phase, view.elapsed_s = command.phase, 0
            view.switch_s = view.time_s + command.remaining_s
        if view.switch_s <= view.time_s:
            view.phase, view.elapsed_s = view.program.successor(view.phase), 0
            view.switch_s = view.time_s + phases[view.phase].duration_s
        shown.append(view.phase)
        view.time_s, view.elapsed_s = view.time_s + 1, view.elapsed_s + 1
    return shown


def _under(decision: Decision, seconds: int, phase: int = 0, elapsed_s: float = 6) -> list[int]:
    view = _view(phase=phase)
    return _shown(view, carry_out(view, decision), seconds, elapsed_s)


def _plan(*steps: bool, extend_s: int = 5) -> Plan:
    return Plan(steps=tuple(PlanStep(extend=step) for step in steps), extend_s=extend_s)


def _cycle(**greens: int) -> Cycle:
    return Cycle(greens=tuple(CycleGreen(phase=int(p[1:]), green_s=s) for p, s in greens.items()))


@pytest.mark.parametrize(
    ("decision", "elapsed_s", "expected"),
    [
        (Extend(extend=True), 6, [0] * 5 + [1] * 2 + [2]),
        (Extend(extend=True), 58, [0] * 2 + [1] * 2 + [2]),
        (Extend(extend=False), 6, [1] * 2 + [2] + [3] * 8),
        (Extend(extend=False), 3, [0] * 2 + [1] * 2 + [2]),
        (NextPhase(next_phase=0, green_s=20), 6, [0] * 20 + [1] * 2),
        (NextPhase(next_phase=5, green_s=9), 6, [1] * 2 + [2] + [5] * 9 + [6] * 2 + [0] * 10),
        (NextPhase(next_phase=3, green_s=9), 6, [1] * 2 + [2] + [3] * 9 + [4] * 3 + [5] * 6),
        (NextPhase(next_phase=5, green_s=9), 3, [0] * 2 + [1] * 2 + [2] + [5] * 9 + [6] * 2),
        (_cycle(p0=7, p3=4, p5=9), 6, [0] * 4 + [1] * 2 + [2] + [3] * 4 + [4] * 3 + [5] * 9),
        (_plan(True, False), 6, [0] * 5 + [1] * 2 + [2] + [3] * 8),
        (_plan(True, True, False), 6, [0] * 10 + [1] * 2 + [2]),
    ],
)
def test_timeline(decision: Decision, elapsed_s: float, expected: list[int]) -> None:
    """The decided seconds, the clearance in full, then the program's own durations."""
    assert _under(decision, len(expected), elapsed_s=elapsed_s) == expected


def test_green_that_runs_is_not_touched_by_a_cycle() -> None:
    """Its seconds count from its next start, one cycle later; the cycle after is the program's."""
    shown = _under(_cycle(p0=4, p3=4, p5=4), 80)
    assert shown[:4] == [0] * 4
    second = shown.index(6) + 2
    assert shown[second : second + 5] == [0] * 4 + [1]
    third = shown.index(6, second) + 2
    assert shown[third : third + 11] == [0] * 10 + [1]


def test_phase_is_entered_from_a_green_without_clearance() -> None:
    """Where one green follows another at once, so does the decided one."""
    program = Program(
        program_id="0",
        kind="static",
        phases=tuple(Phase(duration_s=9, state=state) for state in ("Grr", "rGr", "rrG")),
    )
    view = _view(program=program)
    view.elapsed_s, view.switch_s = 6, 3
    assert list(carry_out(view, NextPhase(next_phase=2, green_s=7))) == [Command(7, 2)]


def test_plan_passes_over_moments_that_are_no_decision_points() -> None:
    """After a no the next step waits for a green that has lasted its minimum."""
    shown = _under(_plan(False, True), 20)
    # 0: no. Grid moments 5 (phase 3 for 2 s) and then 10 (for 7 s): the yes lasts until 15.
    assert shown == [1, 1, 2] + [3] * 12 + [4] * 3 + [5] * 2


def test_plans_grid_has_the_spacing_of_its_steps() -> None:
    """Steps of ten seconds extend by ten and come every ten seconds."""
    assert _under(_plan(True, True, False, extend_s=10), 23) == [0] * 20 + [1] * 2 + [2]


def test_plan_ends_a_green_at_its_maximum() -> None:
    """An extension is cut at the maximum, and the program goes on."""
    shown = _under(_plan(*[True] * 4), 12, elapsed_s=53)
    assert shown == [0] * 7 + [1] * 2 + [2] + [3] * 2


@pytest.mark.parametrize("follow_up", ["max_pressure", "greedy"])
@pytest.mark.parametrize(
    ("decision", "over_s"),
    [
        (Extend(extend=True), 5),
        (NextPhase(next_phase=5, green_s=9), 12),
        (_cycle(p0=5, p3=5, p5=5), 27),
        (_plan(True, True), 10),
    ],
)
def test_follow_up_takes_over_when_the_last_green_is_over(
    decision: Decision, over_s: int, follow_up: FollowUp
) -> None:
    """Then, and not before: it keeps the green that the program would end just then."""
    expected = _under(decision, over_s)
    view = _view({0: 1, 3: 1, 5: 1})
    shown = _shown(view, commands_of(view, decision, follow_up), over_s + 8)
    assert shown == expected + [expected[-1]] * 8


@pytest.mark.parametrize("decision", [Extend(extend=True), _plan(True, False)])
def test_program_is_left_alone_where_nobody_follows(decision: Decision) -> None:
    """It shows what the decision alone leads to."""
    view = _view({0: 0, 3: 9, 5: 0})
    assert _shown(view, commands_of(view, decision, "program"), 60) == _under(decision, 60)


@pytest.mark.parametrize(
    ("pressures", "expected"),
    [
        ({0: 5, 3: 4, 5: 0}, [0] * 12),
        ({0: 3, 3: 4, 5: 0}, [1, 1, 2] + [3] * 9),
    ],
)
def test_max_pressure_keeps_the_green_with_most(
    pressures: dict[int, int], expected: list[int]
) -> None:
    """Every five seconds, at decision points only."""
    view = _view(pressures)
    assert _shown(view, max_pressure(view), 12) == expected


@pytest.mark.parametrize(
    ("vehicles", "phase", "elapsed_s", "expected"),
    [
        ({0: 4, 3: 4, 5: 1}, 0, 6, [0] * 75),
        ({0: 3, 3: 4, 5: 0}, 0, 6, [1, 1, 2] + [3] * 72),
        ({0: 3, 3: 4, 5: 4}, 0, 6, [1, 1, 2] + [3] * 72),
        ({0: 3, 3: 3, 5: 4}, 0, 6, [1, 1, 2] + [5] * 72),
        ({0: 3, 3: 4, 5: 0}, 0, 4, [0] * 10 + [1, 1, 2] + [3] * 62),
        ({0: 9, 3: 4, 5: 0}, 1, 0, [1, 1, 2] + [3] * 7 + [4] * 3 + [0] * 62),
        ({0: 0, 3: 4, 5: 4}, 4, 2, [4] + [5] * 74),
    ],
    ids=[
        *("tie", "other", "others", "over another", "below its minimum"),
        *("from a clearance", "to a short green"),
    ],
)
def test_greedy_shows_the_green_with_most(
    vehicles: dict[int, int], phase: int, elapsed_s: float, expected: list[int]
) -> None:
    """By the clearance, after the minimum; a green has no maximum, whatever its program says."""
    view = _view(vehicles, phase)
    assert _shown(view, greedy(view), 75, elapsed_s) == expected


def test_greedy_decides_every_ten_seconds_and_in_between_nothing_ends() -> None:
    """Each green lasts to the next moment of the grid, also where the program's is shorter."""
    counts = {0: 0, 3: 1, 5: 0}
    view = _view(counts)
    control = greedy(view)
    shown = _shown(view, control, 9)
    counts[5] = 5
    shown += _shown_on(view, control, 6)
    counts[0] = 5
    shown += _shown_on(view, control, 13)
    counts[3] = 6
    shown += _shown_on(view, control, 17)
    # At 10 most are at 5; at 20 still, though at 0 are as many; at 30 most are at 3.
    assert shown == [1, 1, 2] + [3] * 7 + [4] * 3 + [5] * 17 + [6] * 2 + [3] * 13


def test_greedy_waits_for_a_clearance_longer_than_its_interval() -> None:
    """The moments meanwhile are passed over; the green lasts to the next one."""
    phases = tuple(
        Phase(duration_s=seconds, state=state)
        for seconds, state in ((20, "Gr"), (13, "yr"), (20, "rG"), (3, "ry"))
    )
    counts = {0: 0, 2: 1}
    view = _view(counts, program=Program(program_id="0", kind="static", phases=phases))
    control = greedy(view)
    shown = _shown(view, control, 19)
    counts[0] = 2
    assert shown + _shown_on(view, control, 10) == [1] * 13 + [2] * 7 + [3] * 3 + [0] * 6
