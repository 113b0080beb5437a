"""What steered signals show second by second, on programs that are made up here."""

from collections.abc import Iterable, Mapping

import pytest

from shared.errors import InvalidDecision, InvalidRequest
from shared.signals import Phase, Program
from shared.wire.episodes import (
    EpisodeControl,
    EpisodeDecision,
    ExtendControl,
    ExtendGreen,
    PhaseControl,
    ProgramTransition,
    ShowPhase,
    YellowTransition,
)
from sim_workers.engine.episodes.control import (
    Call,
    SignalDriver,
    clearance,
    driver_of,
    yellow_state,
)


def _program(*phases: tuple[float, str]) -> Program:
    shown = tuple(Phase(duration_s=duration_s, state=state) for duration_s, state in phases)
    return Program(program_id="0", kind="static", phases=shown)


ALL_RED = _program(
    (10, "GGrr"), (3, "yyrr"), (2, "rrrr"), (10, "rrGr"), (3, "rryr"), (10, "rrrG"), (4, "rrry")
)
"""Greens 0, 3 and 5; two seconds of all-red after the first's yellow."""
SHARED = _program((20, "GGgrr"), (3, "yyGrr"), (10, "rrGrG"), (3, "rryry"))
"""A lane's left turn, the third link, has a green in both greens and none to lose between them."""
JOINED = _program(
    (12, "GGrrGGrr"),
    (4, "GGrryyrr"),
    (12, "GGrrrrGG"),
    (4, "yyrrrryy"),
    (9, "rrGGGGrr"),
    (4, "rryyyyrr"),
)
"""Two junctions under one program; the first keeps its green while the second changes."""
NO_CLEARANCE = _program((10, "Gr"), (10, "rG"))
YELLOW = PhaseControl(interval_s=10, min_green_s=7, transition=YellowTransition(yellow_s=3))
CLEARANCE = PhaseControl(interval_s=10, min_green_s=7, transition=ProgramTransition())
EXTEND = ExtendControl(interval_s=5, min_green_s=5, max_green_s=30)


class _Light:
    """Shows what a driver tells it, as SUMO does: phase by phase, a second at a time."""

    def __init__(self, program: Program, control: EpisodeControl, phase: int = 0) -> None:
        self.program, self.control = program, control
        self.time_s = 0.0
        self._phase, self._ends_s = phase, program.phases[phase].duration_s
        self._online: str | None = None
        self.driver: SignalDriver = driver_of("a", program, phase, 0, control)
        self.shown: list[str] = []

    def step(self, decision: EpisodeDecision | None = None) -> None:
        """An interval."""
        driver = self.driver
        calls = (
            driver.keep(self.time_s) if decision is None else driver.decide(decision, self.time_s)
        )
        self._obey(calls)
        for _ in range(self.control.interval_s):
            self._obey(driver.before_step(self.time_s))
            if self._online is None and self.time_s >= self._ends_s:
                self._phase = self.program.successor(self._phase)
                self._ends_s = self.time_s + self.program.phases[self._phase].duration_s
            state = self.program.phases[self._phase].state
            self.shown.append(state if self._online is None else self._online)
            if driver.is_own:
                driver.see(self._phase, self.time_s)
            self.time_s += 1

    def _obey(self, calls: Iterable[Call]) -> None:
        for call in calls:
            match call:
                case Call("setPhase", int(phase)):
                    self._phase = phase
                    self._ends_s = self.time_s + self.program.phases[phase].duration_s
                case Call("setPhaseDuration", int() | float() as left_s):
                    self._ends_s = self.time_s + left_s
                case Call("setRedYellowGreenState", str(state)):
                    self._online = state
                case _:
                    raise AssertionError(call)

    def runs(self) -> list[tuple[str, int]]:
        """What was shown, and for how many seconds in a row."""
        found: list[tuple[str, int]] = []
        for state in self.shown:
            if found and found[-1][0] == state:
                found[-1] = (state, found[-1][1] + 1)
            else:
                found.append((state, 1))
        return found


def _show(phase: int) -> ShowPhase:
    return ShowPhase(next_phase=phase)


def _phases(light: _Light) -> list[int]:
    return [
        one.next_phase for one in light.driver.legal(light.time_s) if isinstance(one, ShowPhase)
    ]


def test_yellow_is_shown_within_the_interval() -> None:
    """Three seconds of yellow on the links that lose their green, then the chosen green."""
    light = _Light(ALL_RED, YELLOW)
    light.step()
    light.step(_show(5))
    light.step()
    assert light.runs() == [("GGrr", 10), ("yyrr", 3), ("rrrG", 17)]
    assert (light.driver.phase, light.driver.elapsed_s(light.time_s)) == (5, 17)


def test_the_programs_clearance_is_shown_in_full() -> None:
    """Yellow and all-red as long as the program has them, whatever green follows."""
    light = _Light(ALL_RED, CLEARANCE)
    light.step()
    light.step(_show(5))
    light.step()
    assert light.runs() == [("GGrr", 10), ("yyrr", 3), ("rrrr", 2), ("rrrG", 15)]


def test_a_green_is_held_until_another_is_chosen() -> None:
    """Longer than the program's own duration, under both transitions."""
    for control in (YELLOW, CLEARANCE):
        light = _Light(ALL_RED, control)
        for _ in range(5):
            light.step(_show(0))
        assert light.runs() == [("GGrr", 50)]


def test_a_link_that_keeps_its_green_shows_no_yellow() -> None:
    """A shared lane's link goes through; links that gain a green wait for the yellow to end."""
    light = _Light(SHARED, YELLOW)
    light.step()
    light.step(_show(2))
    assert light.runs() == [("GGgrr", 10), ("yygrr", 3), ("rrGrG", 7)]


def test_several_junctions_change_by_link() -> None:
    """Of two junctions under one program only the links that lose their green turn yellow."""
    light = _Light(JOINED, YELLOW)
    light.step()
    light.step(_show(2))
    light.step(_show(4))
    assert light.runs() == [
        ("GGrrGGrr", 10),
        ("GGrryyrr", 3),
        ("GGrrrrGG", 7),
        ("yyrrrryy", 3),
        ("rrGGGGrr", 7),
    ]


def test_yellow_lasts_even_where_no_link_loses_its_green() -> None:
    """RESCO and sumo-rl wait the same time before a green that only adds links."""
    program = _program((10, "Grr"), (3, "yrr"), (10, "GGr"), (3, "yyr"))
    light = _Light(program, YELLOW)
    light.step()
    light.step(_show(2))
    assert light.runs() == [("Grr", 13), ("GGr", 7)]


def test_a_green_is_not_left_before_its_minimum() -> None:
    """Then only the current green is legal, and another one is refused."""
    light = _Light(ALL_RED, YELLOW.model_copy(update={"min_green_s": 15}))
    light.step()
    assert _phases(light) == [0]
    with pytest.raises(InvalidDecision) as refused:
        light.step(_show(3))
    assert refused.value.code == "below_min_green"
    light.step(_show(0))
    assert _phases(light) == [0, 3, 5]


def test_minimum_green_counts_from_the_green_and_not_from_the_yellow() -> None:
    """With sumo-rl's 5 s, 2 s of yellow and 5 s of minimum two intervals pass between changes."""
    control = PhaseControl(interval_s=5, min_green_s=5, transition=YellowTransition(yellow_s=2))
    light = _Light(ALL_RED, control)
    light.step()
    light.step(_show(3))
    assert light.driver.elapsed_s(light.time_s) == 3
    assert _phases(light) == [3]
    light.step()
    assert _phases(light) == [0, 3, 5]


def test_a_green_that_would_exceed_its_maximum_is_left() -> None:
    """It is no longer legal; without another choice the program's next green follows."""
    light = _Light(ALL_RED, YELLOW.model_copy(update={"max_green_s": 25.0}))
    light.step()
    light.step(_show(0))
    assert _phases(light) == [3, 5]
    with pytest.raises(InvalidDecision) as refused:
        light.step(_show(0))
    assert refused.value.code == "above_max_green"
    light.step()
    assert light.runs() == [("GGrr", 20), ("yyrr", 3), ("rrGr", 7)]


def test_nothing_is_legal_until_the_program_shows_a_green() -> None:
    """An episode may begin in a yellow: the program goes on and its first green is held."""
    for control in (YELLOW, CLEARANCE):
        light = _Light(ALL_RED, control, phase=1)
        assert _phases(light) == []
        with pytest.raises(InvalidDecision) as refused:
            light.step(_show(0))
        assert refused.value.code == "not_green"
        light.step()
        light.step()
        assert light.runs() == [("yyrr", 3), ("rrrr", 2), ("rrGr", 15)]


def test_nothing_is_legal_during_a_long_clearance() -> None:
    """A clearance may take longer than the interval; it is not interrupted."""
    control = CLEARANCE.model_copy(update={"interval_s": 3, "min_green_s": 0})
    light = _Light(ALL_RED, control)
    light.step(_show(3))
    assert (_phases(light), light.driver.is_green) == ([], False)
    light.step()
    assert _phases(light) == [0, 3, 5]
    assert light.runs() == [("yyrr", 3), ("rrrr", 2), ("rrGr", 1)]


@pytest.mark.parametrize("phase", [1, 2, 99])
def test_only_greens_can_be_shown(phase: int) -> None:
    """A yellow, an all-red and a phase that does not exist are refused by the same code."""
    light = _Light(ALL_RED, YELLOW)
    light.step()
    with pytest.raises(InvalidDecision) as refused:
        light.step(_show(phase))
    assert refused.value.code == "unknown_phase"


def test_extending_goes_on_in_the_programs_order() -> None:
    """A yes adds the interval, a no ends the green at its minimum, nothing leaves it alone."""
    light = _Light(ALL_RED, EXTEND)
    light.step(ExtendGreen(extend=False))
    light.step()
    assert light.runs() == [("GGrr", 5), ("yyrr", 3), ("rrrr", 2)]
    light.step()
    light.step(ExtendGreen(extend=True, extend_s=9))
    light.step()
    light.step()
    assert light.runs()[3:] == [("rrGr", 14), ("rryr", 3), ("rrrG", 3)]


def test_no_green_is_extended_beyond_its_maximum() -> None:
    """The last yes is cut; after that nothing is legal."""
    light = _Light(ALL_RED, EXTEND.model_copy(update={"max_green_s": 13}))
    for _ in range(3):
        light.step(ExtendGreen(extend=True))
    assert light.runs() == [("GGrr", 13), ("yyrr", 2)]
    assert light.driver.legal(light.time_s) == ()


def test_a_no_before_the_minimum_waits_for_it() -> None:
    """A green that has just begun is ended as soon as it may be."""
    light = _Light(ALL_RED, EXTEND.model_copy(update={"min_green_s": 8}))
    light.step(ExtendGreen(extend=False))
    light.step()
    assert light.runs()[0] == ("GGrr", 8)


def test_decisions_of_the_other_kind_are_refused() -> None:
    """Under extend no phase is chosen, under phase nothing is extended."""
    wrong: Mapping[EpisodeControl, EpisodeDecision] = {
        EXTEND: _show(3),
        YELLOW: ExtendGreen(extend=True),
    }
    for control, decision in wrong.items():
        with pytest.raises(InvalidDecision) as refused:
            _Light(ALL_RED, control).step(decision)
        assert refused.value.code == "wrong_kind"


def test_a_program_without_clearance_needs_yellow() -> None:
    """Its own transition is refused before anything runs; with yellow it can be steered."""
    with pytest.raises(InvalidRequest) as refused:
        _Light(NO_CLEARANCE, CLEARANCE)
    assert refused.value.code == "missing_transition"
    light = _Light(NO_CLEARANCE, YELLOW)
    light.step()
    light.step(_show(1))
    assert light.runs() == [("Gr", 10), ("yr", 3), ("rG", 7)]


def test_a_green_that_only_grows_needs_no_clearance() -> None:
    """Where no link loses its green there is nothing to clear; on the way back there is."""
    light = _Light(_program((10, "Gr"), (10, "GG"), (3, "Gy")), CLEARANCE)
    light.step()
    light.step(_show(1))
    light.step(_show(0))
    assert light.runs() == [("Gr", 10), ("GG", 10), ("Gy", 3), ("Gr", 7)]


def test_clearance_follows_the_phases_that_the_program_names() -> None:
    """A phase may name its successor; a circle without a green has no end and is none."""
    named = Program(
        program_id="0",
        kind="static",
        phases=(
            Phase(duration_s=5, state="Gr", next_phases=(2,)),
            Phase(duration_s=5, state="rG"),
            Phase(duration_s=3, state="yr", next_phases=(1,)),
        ),
    )
    assert clearance(named, 0) == (2,)
    circle = Program(
        program_id="0",
        kind="static",
        phases=(
            Phase(duration_s=5, state="Gr"),
            Phase(duration_s=5, state="yr", next_phases=(2,)),
            Phase(duration_s=5, state="rr", next_phases=(1,)),
        ),
    )
    assert clearance(circle, 0) == ()


def test_an_arrow_that_follows_a_green_is_yellow_first() -> None:
    """A link whose full green becomes a turn on red has lost its green."""
    assert yellow_state("GGr", "sGG") == "yGr"
