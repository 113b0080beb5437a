"""Answers with traces of what happened: scoring and outcomes with ``trace``."""

from collections.abc import Mapping

from fastapi import Request

from reward_server.auth.callers import caller_of
from reward_server.http.request_scope import notes_of, while_connected
from reward_server.scoring.outcomes import Choice
from reward_server.scoring.rollout_plan import RolloutPlan, plan_item, plan_rollouts
from reward_server.scoring.scorer import ScoredRequest
from reward_server.services import services_of
from shared.errors import RolloutError
from shared.wire.error_info import ErrorInfo
from shared.wire.outcomes import OutcomesQuery, OutcomesResponse
from shared.wire.scoring import Counts, ScoreItem, ScoreRequest, ScoreResponse, ScoreResult
from shared.wire.viewing.traces import Trace

__all__ = ["traced_outcomes", "traced_score"]

_Traces = Mapping[str, Trace | RolloutError]


async def traced_score(
    request: Request, body: ScoreRequest, scored: ScoredRequest
) -> ScoreResponse:
    """The response to a batch, with the traces of the scored items.

    An item whose trace does not match what was recorded fails: its reward is null.

    Args:
        request: The HTTP request.
        body: The batch.
        scored: The answers to the batch.
    """
    services, response = services_of(request), scored.response
    plans = [
        plan_item(item, body.reward, services.store, response.simulator.version)
        if result.status == "scored" and isinstance(item, ScoreItem)
        else None
        for item, result in zip(body.items, response.results, strict=True)
    ]
    traces = await _traces(request, [plan for plan in plans if plan], body.timeout_s)
    pairs = zip(response.results, plans, strict=True)
    results = tuple(_with_trace(result, plan, traces) for result, plan in pairs)
    counts = Counts.of(results, response.counts.rollouts + len(traces))
    return response.model_copy(update={"results": results, "counts": counts})


async def traced_outcomes(
    request: Request, choice: Choice, query: OutcomesQuery, response: OutcomesResponse
) -> OutcomesResponse:
    """The program left alone with its trace and, if ``trace`` is set, every decision's outcome.

    Raises:
        RolloutError: A trace does not match what was recorded, so the ranking cannot be trusted, or
            it did not arrive in time.
    """
    services = services_of(request)
    decisions = [one.decision if one.status == "scored" else None for one in response.outcomes]
    decisions = decisions if query.trace else []
    plans = [
        plan_rollouts(
            choice.state, {choice.tls_id: decision}, query.spec(), response.simulator.version
        )
        for decision in (*decisions, None)
    ]
    traces = await _traces(request, plans, query.timeout_s)
    shown = []
    for plan in plans:
        trace = traces[plan.pairs[0][0]]
        if isinstance(trace, RolloutError):
            services.telemetry.count_refusal(trace.code)
            raise trace
        shown.append(trace)
    outcomes = response.outcomes
    if query.trace:
        pairs = zip(outcomes, shown[:-1], strict=True)
        outcomes = tuple(
            one.model_copy(update={"trace": trace}) if one.status == "scored" else one
            for one, trace in pairs
        )
    reference = response.reference.model_copy(update={"trace": shown[-1]})
    counts = Counts.of(outcomes, response.counts.rollouts + len(traces))
    told = {"outcomes": outcomes, "reference": reference, "counts": counts}
    return response.model_copy(update=told)


async def _traces(request: Request, plans: list[RolloutPlan], timeout_s: float) -> _Traces:
    """Traces by the key of the decision; equal decisions are traced once."""
    services, caller = services_of(request), caller_of(request)
    keys = {plan.pairs[0][0]: plan for plan in plans}
    rollouts = {key: plan.rollouts[key] for key, plan in keys.items()}
    request_id = notes_of(request).request_id
    with services.admission.admitted(caller, max(1, len(rollouts))):
        work = services.playback.traces(rollouts, timeout_s, caller.calls(), request_id)
        return await while_connected(request, work)


def _with_trace(result: ScoreResult, plan: RolloutPlan | None, traces: _Traces) -> ScoreResult:
    if plan is None:
        return result
    trace = traces[plan.pairs[0][0]]
    if isinstance(trace, RolloutError):
        nothing = dict.fromkeys(("reward", "reward_stderr", "seeds", "metrics"))
        failed = {"status": "failed", "error": ErrorInfo.of(trace), "cached": False}
        return result.model_copy(update=nothing | failed)
    return result.model_copy(update={"trace": trace})
