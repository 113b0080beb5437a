"""What may be asked for, and how an episode is written down."""

from typing import Any

import pytest

from shared.errors import InvalidRequest
from shared.signals import Phase, Program, Signal, SignalState
from shared.wire.episodes import EpisodeRequest, ExtendGreen, ShowPhase, StepRequest
from sim_workers.episodes.record import EpisodeRecord, EpisodeSpec, choose_signals


def _spec(last_s: float | None = 7200, **asked: Any) -> EpisodeSpec:  # noqa: ANN401
    request = EpisodeRequest.model_validate({"scenario_id": "x"} | asked)
    return EpisodeSpec.of(request, seed=3, begin_s=100, end_s=last_s)


def test_an_episode_is_an_hour_of_the_scenario() -> None:
    """From its begin, under its seed; shorter where it ends earlier."""
    spec = _spec()
    assert (spec.seed, spec.begin_s, spec.end_s, spec.scale) == (3, 100, 3700, 1)
    assert _spec(last_s=500).end_s == 500
    assert _spec(last_s=None).end_s == 3700
    assert _spec(seed=0, begin_s=50).seed == 0


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ({"end_s": 100}, "end_before_begin"),
        ({"begin_s": 300, "end_s": 200}, "end_before_begin"),
        ({"end_s": 8000}, "past_scenario_end"),
        ({"begin_s": 0, "end_s": 86_401}, "episode_too_long"),
    ],
)
def test_impossible_spans_have_codes(asked: dict[str, Any], code: str) -> None:
    """Each says what is wrong with begin and end."""
    with pytest.raises(InvalidRequest) as refused:
        _spec(**asked)
    assert refused.value.code == code


def test_a_record_comes_back_from_its_lines() -> None:
    """Specification and steps, to the last field."""
    steps = (
        StepRequest(step=0, decisions={"a": ShowPhase(next_phase=2)}),
        StepRequest(step=1, decisions={"a": ExtendGreen(extend=True)}, completions={"b": "é\n"}),
    )
    record = EpisodeRecord(spec=_spec(signals=["b", "a"], observe=["prompt"]), steps=steps)
    assert EpisodeRecord.from_lines(record.to_lines().splitlines()) == record
    assert record.spec.signals == ("a", "b")


@pytest.mark.parametrize("lines", [[], ["{}"], ["no json"]])
def test_other_files_are_no_records(lines: list[str]) -> None:
    """An empty file included."""
    with pytest.raises(InvalidRequest) as refused:
        EpisodeRecord.from_lines(lines)
    assert refused.value.code == "bad_record"


def _signal(tls_id: str, *states: str) -> Signal:
    phases = tuple(Phase(duration_s=10, state=state) for state in states)
    return Signal(
        tls_id=tls_id,
        incoming_lanes=(),
        outgoing_lanes=(),
        programs={"0": Program(program_id="0", kind="static", phases=phases)},
        min_green_s=5,
        max_green_s=60,
    )


NETWORK = {
    one.tls_id: one
    for one in (_signal("b", "Gr", "yr", "rG", "ry"), _signal("a", "Gr", "rG"), _signal("c", "G"))
}
STATES = {tls: SignalState(program_id="0", phase=0, elapsed_s=0) for tls in NETWORK}


def test_all_signals_with_something_to_decide_are_steered() -> None:
    """Unless some are named; none may be named, too."""
    assert choose_signals(None, NETWORK, STATES) == ("a", "b")
    assert choose_signals(("b",), NETWORK, STATES) == ("b",)
    assert choose_signals((), NETWORK, STATES) == ()


@pytest.mark.parametrize(("tls_id", "code"), [("z", "unknown_signal"), ("c", "nothing_to_decide")])
def test_signals_that_cannot_be_steered_are_refused(tls_id: str, code: str) -> None:
    """One that is not there, and one with a single green."""
    with pytest.raises(InvalidRequest) as refused:
        choose_signals((tls_id,), NETWORK, STATES)
    assert refused.value.code == code
