"""Who decides while states are collected."""

import pytest

from sim_workers.engine.policies import PolicySpec, choose, greedy_phase

_PRESSURES = {0: 1, 2: 3}


def _chosen(spec: PolicySpec, seed: int = 1, moments: int = 400) -> list[bool | None]:
    return [choose(spec, seed, "c", 5.0 * k, 0, _PRESSURES) for k in range(moments)]


def test_program_decides_nothing() -> None:
    """It leaves every signal alone, and is known to."""
    assert set(_chosen(PolicySpec())) == {None}
    assert PolicySpec().is_idle


def test_random_decides_by_coin_and_repeats_itself() -> None:
    """About as often either way; the same again under the same seed, otherwise under another."""
    spec = PolicySpec(name="random")
    first = _chosen(spec)
    assert first == _chosen(spec) != _chosen(spec, seed=2)
    assert 140 < first.count(True) < 260
    assert None not in first


def test_max_pressure_ends_a_green_with_less_pressure() -> None:
    """And keeps the one with most."""
    spec = PolicySpec(name="max_pressure")
    assert choose(spec, 1, "c", 0, 0, _PRESSURES) is False
    assert choose(spec, 1, "c", 0, 2, _PRESSURES) is True


@pytest.mark.parametrize(
    ("current", "vehicles", "chosen"),
    [
        (0, {0: 3, 2: 4, 4: 1}, 2),
        (2, {0: 4, 2: 4, 4: 4}, 2),
        (2, {4: 5, 2: 1, 0: 5}, 0),
        (4, {0: 0, 2: 0, 4: 0}, 4),
        (1, {0: 2, 2: 2}, 0),
    ],
)
def test_greedy_shows_the_green_with_most_vehicles(
    current: int, vehicles: dict[int, int], chosen: int
) -> None:
    """The current phase wins a tie, then the lowest index; a clearance phase wins none."""
    assert greedy_phase(current, vehicles) == chosen


@pytest.mark.parametrize(("name", "exploited"), [("program", None), ("max_pressure", False)])
def test_epsilon_is_the_share_of_coins(name: str, exploited: bool | None) -> None:
    """The others are decided by the policy itself."""
    spec = PolicySpec.model_validate({"name": name, "epsilon": 0.4})
    chosen = _chosen(spec, moments=2000)
    yes = chosen.count(True) / len(chosen)
    assert 0.15 < yes < 0.25  # half of the coins
    assert exploited in chosen
    assert not spec.is_idle


def test_stored_decisions_are_repeated() -> None:
    """At their signal and time, and nowhere else."""
    spec = PolicySpec(name="stored", stored={"c": {5.0: False}})
    assert choose(spec, 1, "c", 5.0, 0, _PRESSURES) is False
    assert choose(spec, 1, "c", 10.0, 0, _PRESSURES) is None
    assert choose(spec, 1, "d", 5.0, 0, _PRESSURES) is None
    assert PolicySpec.model_validate_json(spec.model_dump_json()) == spec


def test_labels_are_safe_in_file_names() -> None:
    """A run is named after its policy."""
    assert PolicySpec(name="random").label == "random"
    assert PolicySpec(epsilon=0.25).label == "program-random0.25"
