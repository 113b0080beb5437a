"""Features, prompts and rewards of a step."""

import json

import pytest

from shared.language.prompts import read_prompt
from shared.signals import Phase, Program, Signal
from shared.wire.episodes import (
    PRESETS,
    EpisodeDecision,
    EpisodeReward,
    ExtendGreen,
    ShowPhase,
)
from sim_workers.engine.episodes.messages import PhaseCounts, SignalSample, SignalSeen
from sim_workers.episodes.observations import (
    feature_table,
    features,
    mean_reward_of,
    observe,
    reward_of_step,
    with_bounds,
)

SIGNAL = Signal(
    tls_id="a",
    incoming_lanes=(),
    outgoing_lanes=(),
    programs={
        "p": Program(
            program_id="p",
            kind="static",
            phases=tuple(Phase(duration_s=9, state=state) for state in ("Gr", "yr", "rG", "ry")),
        )
    },
    min_green_s=1,
    max_green_s=2,
)


def _seen(*legal: EpisodeDecision, phase: int = 0) -> SignalSeen:
    counts = {
        0: PhaseCounts(queued=3, approaching=2, passed=7, wait_s=40.5, exit_veh=1),
        2: PhaseCounts(queued=0, approaching=4, passed=0, wait_s=0, exit_veh=6),
    }
    return SignalSeen(phase=phase, elapsed_s=12, legal=legal, counts=counts)


BOTH = (ShowPhase(next_phase=0), ShowPhase(next_phase=2))


def test_features_stand_in_the_order_of_their_table() -> None:
    """Name by name, each within its range."""
    found = features(_seen(*BOTH))
    table = feature_table((0, 2))
    assert list(found) == [one.name for one in table]
    assert all(one.low <= found[one.name] <= one.high for one in table)
    assert list(found.values()) == [12, 1, 1, 1, 3, 2, 7, 40.5, 1, 0, 1, 0, 4, 0, 0, 6]


def test_features_say_what_is_legal() -> None:
    """Only going on, nothing, and the two answers under extend."""
    only_on = features(_seen(BOTH[0]))
    assert (only_on["is_open"], only_on["phase0_legal"], only_on["phase2_legal"]) == (0, 1, 0)
    nothing = features(_seen(phase=1))
    assert (nothing["is_open"], nothing["phase0_shown"], nothing["phase0_legal"]) == (0, 0, 0)
    extend = features(_seen(ExtendGreen(extend=True), ExtendGreen(extend=False)))
    assert (extend["is_open"], extend["phase0_legal"], extend["phase2_legal"]) == (1, 1, 0)


def test_a_prompt_says_what_training_says() -> None:
    """The junction in the same words, the question that of the control, the control's bounds."""
    control = PRESETS["resco"]
    told = observe(with_bounds(SIGNAL, control), "p", _seen(*BOTH), control, ("prompt",))
    assert told.prompt is not None
    assert told.features is None
    junction = read_prompt(told.prompt)
    assert (junction.current_phase, junction.elapsed_green, junction.min_green) == (0, 12, 7)
    assert junction.phases[0].queued == 3
    assert '{"next_phase_id": <phase>}' in told.prompt[0].content
    assert "10 seconds" in told.prompt[0].content
    asked = observe(SIGNAL, "p", _seen(ExtendGreen(extend=True)), PRESETS["program"], ("prompt",))
    assert asked.prompt is not None
    assert '{"extend": "yes"}' in asked.prompt[0].content
    assert json.loads(asked.prompt[1].content)["current_phase"] == 0


def test_nothing_is_asked_where_nothing_is_legal() -> None:
    """A model would answer for nothing."""
    control = PRESETS["resco"]
    assert observe(SIGNAL, "p", _seen(phase=1), control, ("prompt", "features")).prompt is None


@pytest.mark.parametrize(
    ("reward", "expected"),
    [
        (EpisodeReward(), -9.5),
        (EpisodeReward(name="queue"), -4.0),
        (EpisodeReward(name="wait"), -30.0),
        (EpisodeReward(name="pressure"), -2.0),
        (EpisodeReward(name="speed"), 6.0),
        (EpisodeReward(name="sum", terms={"delay": 1.0, "queue": 0.5}), -11.5),
    ],
)
def test_rewards_are_those_of_rollouts(reward: EpisodeReward, expected: float) -> None:
    """Means over the step; an invalid decision adds its own."""
    sample = SignalSample(queue_veh=4, wait_s=30, pressure_veh=2, speed_mps=6)
    assert reward_of_step(reward, sample, 9.5, is_invalid=False) == expected
    assert reward_of_step(reward, sample, 9.5, is_invalid=True) == expected - 1


def test_an_undefined_reward_is_none() -> None:
    """No vehicle, no speed; and then no mean over the signals."""
    assert reward_of_step(EpisodeReward(name="speed"), SignalSample(), None, False) is None
    assert mean_reward_of({"a": 1.0, "b": None}) is None
    assert mean_reward_of({}) is None
    assert mean_reward_of({"a": 1.0, "b": 2.0}) == 1.5
