"""How the time of a scenario is divided among the states."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from sim_workers.build_plan import BuildOptions, decision_slots

_SECONDS = st.integers(0, 4000)
_OPTIONS = st.builds(
    BuildOptions,
    warmup_s=_SECONDS.map(float),
    every_s=st.none() | st.floats(1, 900),
    states=st.none() | st.integers(1, 500),
    horizon_s=st.integers(1, 900),
)


@given(_SECONDS, _SECONDS, _OPTIONS)
def test_slots_are_ordered_and_leave_room_for_the_horizon(
    begin_s: int, length_s: int, options: BuildOptions
) -> None:
    """They follow each other, after the warm-up, and every rollout ends before the end."""
    end_s = begin_s + length_s
    slots = decision_slots(begin_s, end_s, options)
    assert all(start < stop for start, stop in slots)
    assert all(before[1] <= after[0] + 1e-6 for before, after in pairwise(slots))
    if slots:
        assert slots[0][0] == begin_s + options.warmup_s
        assert slots[-1][1] - 1 <= end_s - max(options.horizon_s, 60)


@given(_SECONDS, _SECONDS, _OPTIONS)
def test_there_are_as_many_slots_as_asked_for_and_fit(
    begin_s: int, length_s: int, options: BuildOptions
) -> None:
    """Never more than asked for, and none only where there is no time at all."""
    slots = decision_slots(begin_s, begin_s + length_s, options)
    assert len(slots) <= (options.states or 4000)
    room_s = length_s - options.warmup_s - max(options.horizon_s, 60)
    assert bool(slots) == (room_s >= 0)
    if options.states is not None and options.every_s is None and room_s >= options.states:
        assert len(slots) == options.states


@given(st.floats(1, 900), _SECONDS)
def test_spacing_is_kept(every_s: float, length_s: int) -> None:
    """With ``every_s`` each slot begins that long after the one before."""
    options = BuildOptions(warmup_s=0, every_s=every_s)
    starts = [start for start, _ in decision_slots(0, length_s, options)]
    assert starts == [index * every_s for index in range(len(starts))]


def test_an_hour_gets_a_hundred_states_by_default() -> None:
    """The default count, spread over what the warm-up and the proof leave."""
    slots = decision_slots(0, 3600, BuildOptions())
    assert len(slots) == 100
    assert slots[:2] == [(300, 332), (332, 364)]


def test_no_time_makes_no_slots() -> None:
    """A horizon that reaches beyond the end leaves nothing."""
    assert decision_slots(0, 359, BuildOptions()) == []
    assert len(decision_slots(0, 360, BuildOptions())) == 1
