"""Decisions of every kind, for the tests of what is done with them."""

from hypothesis import strategies as st

from shared.decisions import Cycle, CycleGreen, Decision, Extend, NextPhase, Plan, PlanStep

__all__ = ["DECISIONS", "cycle", "plan"]

_SECONDS = st.integers(1, 3600)
_PHASES = st.integers(0, 10**6)

DECISIONS: st.SearchStrategy[Decision] = st.one_of(
    st.builds(Extend, extend=st.booleans(), extend_s=_SECONDS),
    st.builds(NextPhase, next_phase=_PHASES, green_s=_SECONDS),
    st.builds(
        Cycle,
        greens=st.lists(
            st.builds(CycleGreen, phase=_PHASES, green_s=_SECONDS), min_size=1, max_size=64
        ).map(tuple),
    ),
    st.builds(
        Plan,
        steps=st.lists(st.builds(PlanStep, extend=st.booleans()), min_size=1, max_size=240).map(
            tuple
        ),
        extend_s=_SECONDS,
    ),
)


def cycle(*greens: tuple[int, int]) -> Cycle:
    """A cycle of pairs of phase and seconds."""
    return Cycle(greens=tuple(CycleGreen(phase=phase, green_s=s) for phase, s in greens))


def plan(*answers: bool, extend_s: int = 5) -> Plan:
    """A plan of these answers."""
    return Plan(steps=tuple(PlanStep(extend=yes) for yes in answers), extend_s=extend_s)
