"""What an environment asks of episodes, and what it makes of their answers."""

from typing import Any

import numpy as np
import pytest

from reward_client.environments.play import Play
from shared.errors import ConfigError, InvalidRequest, RewardsMissing
from shared.wire.episodes import ExtendGreen, ShowPhase
from sim_workers.episodes.observations import feature_table
from tests.unit.reward_client.environments.made_up import FIGURES, MadeUp

RNG = np.random.default_rng(0)
EXTEND = {"preset": "program"}


def begun(made_up: MadeUp, seed: int | None = 7, **asked: object) -> Play:
    """An environment's play after a reset."""
    play = Play(made_up, asked)
    play.reset(seed, RNG, None)
    return play


def test_seed_is_sumos() -> None:
    """And without one the generator gives the same again after the same seed."""
    made_up = MadeUp()
    play = begun(made_up, seed=7)
    assert made_up.begun[-1].request.seed == 7
    chosen = []
    for _ in range(2):
        rng = np.random.default_rng(5)
        for _ in range(2):
            play.reset(None, rng, None)
            chosen.append(made_up.begun[-1].request.seed)
    assert chosen[:2] == chosen[2:]
    assert chosen[0] != chosen[1]


def test_one_episode_is_open_at_a_time() -> None:
    """The one before is given up, so that none is left behind."""
    made_up = MadeUp()
    play = begun(made_up)
    play.reset(8, RNG, None)
    assert [one.is_closed for one in made_up.begun] == [True, True, False]
    play.close()
    assert made_up.begun[-1].is_closed


def test_reset_to_a_state_leaves_out_what_a_state_has() -> None:
    """Its seed, scale and begin are its own; what else was asked for still holds."""
    made_up = MadeUp()
    play = begun(made_up, scale=0.5, end_s=900)
    play.reset(3, RNG, {"episode": {"state_id": "s@1-aaaaaaaaaaaa"}, "options": 1})
    request = made_up.begun[-1].request
    assert (request.state_id, request.scenario_id, request.seed) == ("s@1-aaaaaaaaaaaa", None, None)
    assert (request.scale, request.end_s) == (None, 900)
    with pytest.raises(InvalidRequest, match="seed"):
        play.reset(3, RNG, {"episode": {"state_id": "s@1-aaaaaaaaaaaa", "seed": 1}})


def test_action_is_a_green_in_the_programs_order() -> None:
    """What is not legal is decided all the same, for the episode to refuse."""
    made_up = MadeUp()
    play = begun(made_up)
    play.step({"C": 1})
    play.step({})
    asked = made_up.begun[-1].asked
    assert [one.decisions for one in asked] == [{"C": ShowPhase(next_phase=2)}, {}]


def test_action_under_extend() -> None:
    """0 ends the green and 1 extends it."""
    made_up = MadeUp()
    play = begun(made_up, control=EXTEND)
    assert play.codes["C"].actions == 2
    for action in (0, 1):
        play.step({"C": action})
    decided = [one.decisions["C"] for one in made_up.begun[-1].asked]
    assert decided == [ExtendGreen(extend=False), ExtendGreen(extend=True)]


@pytest.mark.parametrize(("control", "going_on"), [(None, [0, 1]), (EXTEND, [0, 1])])
def test_where_nothing_is_legal_the_mask_says_go_on(control: object, going_on: list[int]) -> None:
    """And whatever the action is, nothing is decided."""
    made_up = MadeUp(closed_at=frozenset({1}))
    asked: dict[str, Any] = {} if control is None else {"control": control}
    play = begun(made_up, **asked)
    assert play.info("C")["action_mask"].tolist() == [1, 1]
    play.step({"C": 1})
    assert play.info("C")["action_mask"].tolist() == going_on
    play.step({"C": 0})
    assert made_up.begun[-1].asked[-1].decisions == {}


def test_features_in_the_order_of_the_table() -> None:
    """Flags are bounded by one, counts are not."""
    play = begun(MadeUp())
    code = play.codes["C"]
    names = ["elapsed_s", "is_open", "phase0_shown", "phase0_queued", "phase2_shown"]
    assert list(code.names)[:5] == names
    assert code.vector(play.answer.signals["C"]).tolist() == [0, 1, 1, 4, 0, 6]
    known = {one.name: one.high for one in feature_table((0, 2))}
    assert code.high.tolist() == [known[name] for name in code.names]


def test_missing_reward_is_an_error() -> None:
    """There is no number in its place."""
    play = begun(MadeUp(reward=None))
    with pytest.raises(RewardsMissing, match="signal C"):
        play.step({"C": 0})


def test_figures_at_the_end() -> None:
    """And not before."""
    play = begun(MadeUp(steps=2))
    play.step({"C": 0})
    assert "figures" not in play.info("C")
    play.step({"C": 0})
    assert play.info("C")["figures"] == FIGURES.model_dump()


def test_other_signals_than_at_first_are_refused() -> None:
    """Spaces cannot change."""
    made_up = MadeUp(signals=("A", "B"))
    play = begun(made_up)
    with pytest.raises(ConfigError, match="make an environment for each"):
        play.reset(1, RNG, {"episode": {"signals": ["A"]}})
    assert made_up.begun[-1].is_closed


def test_nothing_to_run_is_said() -> None:
    """Where the source knows no scenario and none is named."""
    with pytest.raises(ConfigError, match="scenario_id or state_id"):
        begun(MadeUp(scenario_id=None))
