"""How the states of a dataset are divided among its runs, and the time of a run among them."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from sim_workers.datasets.build_plan import BuildOptions, Run, decision_slots, plan_runs
from sim_workers.engine.policies import PolicySpec

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


def _sizes(runs: list[Run]) -> dict[str, int]:
    return {run.name: len(run.slots) for run in runs}


def test_runs_are_all_seeds_with_all_scales() -> None:
    """Seed by seed, each once, and the states are shared out evenly, the first runs first."""
    options = BuildOptions(seeds=(7, 8, 7), scales=(1.0, 1.25), states=10)
    runs = plan_runs(0, 3600, 1, options)
    assert _sizes(runs) == {"seed7": 3, "seed7-scale1.25": 3, "seed8": 2, "seed8-scale1.25": 2}
    assert [(run.seed, run.scale) for run in runs] == [(7, 1), (7, 1.25), (8, 1), (8, 1.25)]


def test_run_without_a_state_is_not_simulated() -> None:
    """There are more runs than states."""
    assert _sizes(plan_runs(0, 3600, 1, BuildOptions(seeds=(1, 2, 3), states=2))) == {
        "seed1": 1,
        "seed2": 1,
    }


def test_configuration_seeds_where_none_is_given() -> None:
    """One run of a hundred states."""
    assert _sizes(plan_runs(0, 3600, 42, BuildOptions())) == {"seed42": 100}


def test_spacing_fills_every_run() -> None:
    """Unless the number of states is bounded, too."""
    options = BuildOptions(seeds=(1, 2), every_s=600, warmup_s=0)
    assert _sizes(plan_runs(0, 1860, 1, options)) == {"seed1": 4, "seed2": 4}
    options = BuildOptions(seeds=(1, 2), every_s=600, warmup_s=0, states=3)
    assert _sizes(plan_runs(0, 1860, 1, options)) == {"seed1": 2, "seed2": 1}


def test_no_time_makes_no_runs() -> None:
    """However many are asked for."""
    assert plan_runs(0, 100, 1, BuildOptions(seeds=(1, 2))) == []


def test_runs_are_named_by_what_tells_them_apart() -> None:
    """Nothing that is as usual is in the name."""
    policy = PolicySpec(name="max_pressure", epsilon=0.2)
    assert Run(1, 2.0, PolicySpec(), ()).name == "seed1-scale2"
    assert Run(1, 0.05, policy, ()).name == "seed1-scale0.05-max_pressure-random0.2"


@given(st.integers(1, 60), st.integers(1, 7))
def test_no_state_is_lost_in_sharing(states: int, seeds: int) -> None:
    """And no run has more than one state more than another."""
    options = BuildOptions(seeds=tuple(range(seeds)), states=states)
    shares = [len(run.slots) for run in plan_runs(0, 3600, 1, options)]
    assert sum(shares) == states
    assert max(shares) - min(shares) <= 1
