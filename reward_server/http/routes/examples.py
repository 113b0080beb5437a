"""The examples in the OpenAPI document, built from the real models so that they stay valid."""

from fastapi.openapi.models import Example

from shared.decisions import Extend, NextPhase
from shared.rewards import Metrics, RewardSpec
from shared.signals import Phase, Program, Signal, SignalState
from shared.wire.error_info import ErrorInfo
from shared.wire.info import Health, Limits, ServiceInfo, Versions
from shared.wire.outcomes import OutcomesResponse, RankedOutcome, ReferenceOutcome
from shared.wire.scoring import Counts, ScoreItem, ScoreRequest, ScoreResponse, ScoreResult
from shared.wire.states import Simulator, StatePage, StateRecord, StateView

__all__ = ["RESPONSES", "SCORE_REQUESTS", "SIGNAL", "STATE_ID"]

STATE_ID = "crossing@900-0a1b2c3d4e5f"
_TLS_ID = "C"
_SUMO = Simulator(version="1.28.0")

_RECORD = StateRecord(
    state_id=STATE_ID,
    scenario_id="crossing-3fa94c0de112",
    time_s=900,
    seed=42,
    run="seed42",
    restore="state",
    verified_s=60,
    simulator=_SUMO,
    signals={_TLS_ID: SignalState(program_id="0", phase=0, elapsed_s=12)},
)

SIGNAL = Signal(
    tls_id=_TLS_ID,
    incoming_lanes=("n2c_0", "e2c_0"),
    outgoing_lanes=("c2s_0", "c2w_0"),
    programs={
        "0": Program(
            program_id="0",
            kind="static",
            phases=(
                Phase(duration_s=30, state="Gr", green_lanes=("n2c_0",)),
                Phase(duration_s=3, state="yr"),
                Phase(duration_s=30, state="rG", green_lanes=("e2c_0",)),
                Phase(duration_s=3, state="ry"),
            ),
        )
    },
    min_green_s=5,
    max_green_s=60,
)


def _request(*items: ScoreItem, reward: RewardSpec | None = None) -> dict[str, object]:
    request = ScoreRequest(items=items, reward=reward or RewardSpec(), timeout_s=30)
    return request.model_dump(mode="json", exclude_none=True)


SCORE_REQUESTS: dict[str, Example] = {
    "decision": {
        "summary": "A decision as JSON",
        "value": _request(
            ScoreItem(id="a", state_id=STATE_ID, tls_id=_TLS_ID, decision=Extend(extend=True))
        ),
    },
    "completion": {
        "summary": "A model's text, under another reward",
        "value": _request(
            ScoreItem(
                state_id=STATE_ID,
                tls_id=_TLS_ID,
                decision_kind="extend",
                completion='{"extend": "no"}',
            ),
            reward=RewardSpec(name="queue", horizon_s=30),
        ),
    },
    "signals": {
        "summary": "Decisions at several signals at once, under a weighted sum",
        "value": _request(
            ScoreItem(
                state_id=STATE_ID,
                decisions={
                    "A0": Extend(extend=True),
                    "B1": NextPhase(next_phase=2, green_s=20),
                },
            ),
            reward=RewardSpec(name="sum", terms={"queue_gain": 1.0, "pressure": 0.1}),
        ),
    },
    "seeds": {
        "summary": "The mean over three continuations, max-pressure control afterwards",
        "value": _request(
            ScoreItem(state_id=STATE_ID, tls_id=_TLS_ID, decision=Extend(extend=False)),
            reward=RewardSpec(follow_up="max_pressure", seeds=(1, 2, 3)),
        ),
    },
    "delay": {
        "summary": "The delay of the whole network, greedy control afterwards",
        "value": _request(
            ScoreItem(state_id=STATE_ID, tls_id=_TLS_ID, decision=Extend(extend=True)),
            reward=RewardSpec(name="delay", follow_up="greedy"),
        ),
    },
}
"""Requests, by a short name."""

_METRICS = Metrics(
    queue_veh=2.0,
    queue_veh_max=5,
    wait_s=31.5,
    speed_mps=6.2,
    throughput_veh=14,
    pressure_veh=3.1,
    network_queue_veh=2.4,
    delay_veh=5.8,
)

_SCORE_RESPONSE = ScoreResponse(
    results=(
        ScoreResult(
            id="a",
            status="scored",
            reward=0.375,
            decision=Extend(extend=True),
            metrics=_METRICS,
            restore="state",
            fidelity="own",
        ),
        ScoreResult(
            id=None,
            status="invalid",
            reward=-1.0,
            restore="state",
            error=ErrorInfo(
                code="no_json", message="no JSON object found in the text", retryable=False
            ),
        ),
        ScoreResult(
            id=None,
            status="failed",
            reward=None,
            decision=Extend(extend=False),
            restore="state",
            error=ErrorInfo(
                code="worker_lost", message="3 workers died during this rollout", retryable=True
            ),
        ),
    ),
    counts=Counts(scored=1, invalid=1, failed=1, cached=0, rollouts=3),
    simulator=_SUMO,
)

_REFERENCE = _METRICS.model_copy(update={"queue_veh": 5.0})

_OUTCOMES = OutcomesResponse(
    state_id=STATE_ID,
    tls_id=_TLS_ID,
    kind="extend",
    reward=RewardSpec(),
    best=Extend(extend=True),
    outcomes=(
        RankedOutcome(
            decision=Extend(extend=True),
            status="scored",
            reward=0.375,
            regret=0.0,
            rank=1,
            metrics=_METRICS,
        ),
        RankedOutcome(
            decision=Extend(extend=False),
            status="scored",
            reward=0.0,
            regret=0.375,
            rank=2,
            metrics=_REFERENCE,
        ),
    ),
    reference=ReferenceOutcome(reward=0.0, metrics=_REFERENCE),
    restore="state",
    fidelity="own",
    counts=Counts(scored=2, invalid=0, failed=0, cached=0, rollouts=3),
    simulator=_SUMO,
)

_STATE_PAGE = StatePage(states=(_RECORD,), total=1, limit=100, offset=0)

_STATE_VIEW = StateView(
    **{name: getattr(_RECORD, name) for name in StateRecord.model_fields},
    definitions={_TLS_ID: SIGNAL},
)

_INFO = ServiceInfo(
    versions=Versions(greenfork="0.1.0", sumo="1.28.0", ray="2.60.0"),
    limits=Limits(
        max_items=2048, max_body_bytes=16_777_216, max_pending_items=20_000, rollout_timeout_s=60
    ),
    states=120,
    uptime_s=3600.5,
)

RESPONSES: dict[str, dict[str, object]] = {
    path: model.model_dump(mode="json")
    for path, model in {
        "/v1/score": _SCORE_RESPONSE,
        "/v1/states": _STATE_PAGE,
        "/v1/states/{state_id}": _STATE_VIEW,
        "/v1/states/{state_id}/outcomes": _OUTCOMES,
        "/v1/info": _INFO,
        "/healthz": Health(status="ok"),
        "/readyz": Health(status="ok"),
    }.items()
}
"""The answers of the routes, by path."""
