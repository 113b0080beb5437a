"""Examples for the OpenAPI document: an hour at the crossing of the bundled scenario."""

from datetime import UTC, datetime

from shared.wire.episode_control import PRESETS
from shared.wire.episode_views import (
    CandidateMetrics,
    CandidateResult,
    CandidatesResponse,
    EpisodeDetail,
    EpisodeResult,
)
from shared.wire.episodes import EpisodeReward, ShowPhase, SignalObservation, StepAnswer
from shared.wire.states import Simulator

__all__ = ["EPISODE_RESPONSES"]

_ID = "3f8a1b2c9d4e5f60718293a4b5c6d7e8"
_SCENARIO = "crossing-16ef07db51e1"
_BEGUN = datetime(2026, 11, 28, 12, 0, tzinfo=UTC)
_GREENS = (ShowPhase(next_phase=0), ShowPhase(next_phase=2))

_BEGIN = StepAnswer(
    episode_id=_ID,
    step=0,
    time_s=0.0,
    signals={"c": SignalObservation(current_phase=0, elapsed_green_s=0.0, legal=_GREENS[:1])},
)
_STEP = StepAnswer(
    episode_id=_ID,
    step=1,
    time_s=10.0,
    signals={"c": SignalObservation(current_phase=0, elapsed_green_s=10.0, legal=_GREENS)},
    reward=-3.25,
    rewards={"c": -3.25},
)
_SHOWN = EpisodeDetail(
    episode_id=_ID,
    status="running",
    is_live=True,
    scenario_id=_SCENARIO,
    seed=1,
    scale=1.0,
    begin_s=0.0,
    end_s=3600.0,
    time_s=10.0,
    step=1,
    signals=("c",),
    control=PRESETS["resco"],
    reward=EpisodeReward(),
    observe=(),
    created_at=_BEGUN,
    updated_at=_BEGUN,
    answer=_STEP,
)
_RESULT = EpisodeResult(
    episode_id=_ID,
    scenario_id=_SCENARIO,
    seed=1,
    scale=1.0,
    begin_s=0.0,
    end_s=3600.0,
    steps=360,
    simulator=Simulator(version="1.28.0"),
    vehicles=1440,
    delay_s=41.5,
    travel_time_s=78.25,
    travel_time_all_s=80.5,
    wait_s=25.75,
    queue_veh=10.5,
    throughput_veh=1402,
    backlog_veh=0,
    teleports=0,
    collisions=0,
    emergency_stops=0,
    switches=212,
    gridlocked=False,
    decisions={"phase": {"valid": 360, "invalid": 0}},
)
_CANDIDATES = CandidatesResponse(
    episode_id=_ID,
    step=1,
    time_s=10.0,
    results=(
        CandidateResult(
            id=None,
            status="scored",
            reward=-4.5,
            metrics=CandidateMetrics(delay_veh=4.5, queue_veh=3.25),
        ),
        CandidateResult(
            id="stay",
            status="scored",
            reward=-6.75,
            metrics=CandidateMetrics(delay_veh=6.75, queue_veh=5.5),
        ),
    ),
)

EPISODE_RESPONSES: dict[str, dict[str, object]] = {
    f"/v1/episodes{path}": model.model_dump(mode="json")
    for path, model in {
        "": _BEGIN,
        "/{episode_id}": _SHOWN,
        "/{episode_id}/step": _STEP,
        "/{episode_id}/score": _CANDIDATES,
        "/{episode_id}/result": _RESULT,
    }.items()
}
"""The answers of the routes, by their paths."""
