"""Scoring as every route does it: admitted, bounded by the caller's patience, counted, noted."""

from functools import partial
from time import perf_counter

from fastapi import Request

from reward_server.auth.callers import caller_of
from reward_server.http.reading.documents import load_of, refuse_too_many
from reward_server.http.request_scope import notes_of, while_connected
from reward_server.scoring.scorer import ScoredRequest
from reward_server.services import Services
from shared.wire.scoring import ScoreRequest

__all__ = ["scored_for"]


async def scored_for(request: Request, services: Services, body: ScoreRequest) -> ScoredRequest:
    """The answers to a batch that came by HTTP.

    Args:
        request: By which it came; its body has been read.
        services: The gateway's.
        body: The batch.

    Raises:
        InvalidRequest: ``too_many_items``.
        Overloaded: There is no room for it.
        ClientGone: The caller went away meanwhile; the rollouts were ended.
        UnknownState: An item names a state that is not served.
        UnknownSignal: An item names a signal that its state does not have.
        DeadlineExceeded: Not one item was done in time.
    """
    refuse_too_many(len(body.items), body, services.settings.max_items)
    load = load_of(len(body.items), body)
    caller, notes = caller_of(request), notes_of(request)
    notes.fields.update(
        items=len(body.items), reward=body.reward.name, horizon_s=body.reward.horizon_s
    )
    begin_s = perf_counter()
    with services.admission.admitted(caller, load):
        around = partial(while_connected, request)
        scored = await services.scorer.score(body, caller.calls(), notes.request_id, around)
    services.telemetry.count_scored(scored)
    notes.add_counts(scored.counts, scored.outcomes, perf_counter() - begin_s)
    return scored
