"""What the wire types of episodes take, and what they refuse."""

from typing import Any

import pytest
from pydantic import ValidationError

from shared.errors import InvalidDecision
from shared.language.completions import parse_shown_phase
from shared.wire.episodes import PRESETS, EpisodeRequest, PhaseControl, ShowPhase, StepRequest


def _request(**fields: Any) -> EpisodeRequest:  # noqa: ANN401
    return EpisodeRequest.model_validate({"scenario_id": "x"} | fields)


def test_a_preset_is_the_control_that_it_names() -> None:
    """It is written out, so that an answer says what was meant."""
    for name, control in PRESETS.items():
        assert _request(control={"preset": name}).control == control
    assert _request().control == PRESETS["resco"]
    assert PRESETS["sumo-rl"].interval_s == 5


def test_the_contracts_example_is_valid() -> None:
    """The body of the contract's page, word for word."""
    body: dict[str, Any] = {
        "scenario_id": "s",
        "state_id": None,
        "seed": 1,
        "scale": 1.0,
        "begin_s": None,
        "end_s": None,
        "signals": None,
        "control": {
            "kind": "phase",
            "interval_s": 10,
            "min_green_s": 7,
            "transition": {"kind": "yellow", "yellow_s": 3},
        },
        "reward": {"name": "delay"},
        "observe": ["prompt", "features"],
    }
    request = EpisodeRequest.model_validate(body)
    assert isinstance(request.control, PhaseControl)
    assert request.control == PRESETS["resco"]


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"control": {"preset": "luck"}}, "unknown preset"),
        ({"control": {"preset": "resco", "interval_s": 5}}, "no other keys"),
        ({"control": {"kind": "phase", "transition": {"kind": "red"}}}, "red"),
        ({"control": {"kind": "phase", "interval_s": 3}}, "yellow_s must be below interval_s"),
        ({"control": {"kind": "phase", "interval_s": 0}}, "interval_s"),
        ({"control": {"kind": "phase", "max_green_s": 5}}, "max_green_s is below"),
        ({"control": {"kind": "extend", "min_green_s": 70}}, "min_green_s is above"),
        ({"control": {"kind": "extend", "transition": {"kind": "program"}}}, "transition"),
        ({"reward": {"name": "queue_gain"}}, "name"),
        ({"reward": {"name": "sum"}}, "terms are required"),
        ({"state_id": "y"}, "either scenario_id or state_id"),
        ({"signals": ["a", "a"]}, "twice"),
        ({"observe": ["prompt", "prompt"]}, "twice"),
        ({"seed": -1}, "seed"),
        ({"seed": True}, "seed"),
        ({"scale": 0}, "scale"),
        ({"end_s": float("nan")}, "end_s"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_bad_requests_are_refused(fields: dict[str, Any], said: str) -> None:
    """Each for its own reason."""
    with pytest.raises(ValidationError, match=said):
        _request(**fields)


@pytest.mark.parametrize(
    ("name", "value"), [("seed", 1), ("scale", 1), ("begin_s", 1), ("program", "actuated")]
)
def test_a_state_has_its_own_run(name: str, value: object) -> None:
    """Others cannot be asked for; the end can."""
    with pytest.raises(ValidationError, match="a state has its own"):
        EpisodeRequest.model_validate({"state_id": "x", name: value})
    assert EpisodeRequest.model_validate({"state_id": "x", "end_s": 5}).end_s == 5


def test_a_phase_decision_has_no_seconds() -> None:
    """A green lasts until a later step changes it, in JSON and in text."""
    assert StepRequest.model_validate(
        {"step": 0, "decisions": {"a": {"kind": "phase", "next_phase": 2}}}
    ).decisions == {"a": ShowPhase(next_phase=2)}
    with pytest.raises(ValidationError, match="green_s"):
        StepRequest.model_validate(
            {"step": 0, "decisions": {"a": {"kind": "phase", "next_phase": 2, "green_s": 9}}}
        )
    with pytest.raises(InvalidDecision) as refused:
        parse_shown_phase('{"next_phase_id": 2, "green_sec": 9}')
    assert refused.value.code == "wrong_keys"


def test_a_signal_is_decided_once() -> None:
    """Not by a decision and a text at the same step."""
    with pytest.raises(ValidationError, match="both a decision and a completion"):
        StepRequest.model_validate(
            {
                "step": 0,
                "decisions": {"a": {"kind": "phase", "next_phase": 2}},
                "completions": {"a": "{}"},
            }
        )
