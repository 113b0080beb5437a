"""TRL's environments: what a row asks for, what the model is told, and the reward."""

import pytest

from reward_client.environments.trl import ExtendEnvironment, PhaseEnvironment
from shared.errors import ConfigError, GreenforkError
from shared.wire.episodes import PRESETS
from tests.unit.reward_client.environments.made_up import MadeUp


def test_row_says_which_episode() -> None:
    """Columns of a dataset's row: the state with its signal; what else is there is left alone."""
    made_up = MadeUp()
    env = PhaseEnvironment(made_up, end_s=900)
    row = {"state_id": "s@1-a", "tls_id": "C", "seed": 7, "scale": None, "prompt": [], "x": 1}
    assert env.reset(**row).endswith("step 0")
    request = made_up.begun[-1].request
    assert (request.state_id, request.signals, request.seed) == ("s@1-a", ("C",), None)
    assert (request.control, request.end_s) == (PRESETS["resco"], 900)
    env.reset(seed=7)
    assert (made_up.begun[-1].request.seed, made_up.begun[0].is_closed) == (7, True)


def test_reward_is_the_mean_over_the_whole_episode() -> None:
    """Also over the steps that the model did not decide."""
    made_up = MadeUp(steps=3)
    env = PhaseEnvironment(made_up)
    env.reset()
    assert env.show_phase(2) == "step 1"
    assert env.get_reward() == (-2 - 3 - 4) / 3
    asked = made_up.begun[-1].asked
    assert [one.completions for one in asked] == [{"C": '{"next_phase_id": 2}'}, {}, {}]
    assert made_up.begun[-1].is_closed


def test_invalid_decision_is_told_and_costs() -> None:
    """The model reads why."""
    made_up = MadeUp(steps=1)
    env = PhaseEnvironment(made_up)
    env.reset()
    assert env.show_phase(99).startswith("Invalid: no phase 99\n")
    assert env.get_reward() == -12.0


def test_moments_without_a_decision_are_passed_over() -> None:
    """At the begin, and after a call; the end is told."""
    made_up = MadeUp(steps=4, closed_at=frozenset({0, 2, 3}))
    env = PhaseEnvironment(made_up)
    assert env.reset().endswith("step 1")
    assert "over" in env.show_phase(0)
    assert "over" in env.show_phase(0), "and nothing happens then"
    assert len(made_up.begun[-1].asked) == 4


@pytest.mark.parametrize("made_up", [MadeUp(fails_at=0), MadeUp(reward=None)])
def test_reward_that_could_not_be_computed_is_missing(made_up: MadeUp) -> None:
    """TRL leaves the completion out; an error within a tool goes to the model and is kept."""
    env = PhaseEnvironment(made_up)
    env.reset()
    with pytest.raises(GreenforkError):
        env.show_phase(0)
    assert env.get_reward() is None
    env.reset()
    assert env.get_reward() is None, "it failed while it was run to its end"


def test_extending() -> None:
    """Yes and no, in the words of completions."""
    made_up = MadeUp()
    env = ExtendEnvironment(made_up)
    env.reset()
    env.extend_green(extend=True)
    env.extend_green(extend=False)
    texts = [one.completions["C"] for one in made_up.begun[-1].asked]
    assert texts == ['{"extend": "yes"}', '{"extend": "no"}']
    assert made_up.begun[-1].request.control == PRESETS["program"]


def test_several_signals_are_refused() -> None:
    """A tool decides at one."""
    with pytest.raises(ConfigError, match="steers 2 signals"):
        PhaseEnvironment(MadeUp(signals=("A", "B"))).reset()
