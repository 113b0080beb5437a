"""Scoring as all routes do it: with admission, the caller's time limit, metrics and notes."""

from functools import partial
from time import perf_counter

from fastapi import Request

from reward_server.auth.callers import caller_of
from reward_server.http.content import check_is_json
from reward_server.http.reading.documents import Document, Form, load_of, refuse_too_many
from reward_server.http.request_scope import notes_of, while_connected
from reward_server.scoring.scorer import ScoredRequest
from reward_server.services import services_of
from shared.wire.scoring import ScoreRequest

__all__ = ["document_of", "scored_for"]


async def document_of(request: Request, form: Form, extend_s: int = 0) -> Document:
    """The contents of a request's body, read from its bytes without Python's own JSON module.

    Args:
        request: The request.
        form: The protocol.
        extend_s: Seconds that a *yes* without seconds of its own adds.

    Raises:
        MalformedRequest: The body is not JSON.
        InvalidRequest: It is not declared to be JSON, or is not such a request.
    """
    check_is_json(request)
    body, caller = await request.body(), caller_of(request)
    return await services_of(request).reader.read(form, body, caller.name, extend_s)


async def scored_for(request: Request, body: ScoreRequest) -> ScoredRequest:
    """The answers to a batch received over HTTP.

    Args:
        request: The request that brought it; its body has been read.
        body: The batch.

    Raises:
        InvalidRequest: ``too_many_items``.
        Overloaded: There is no room for it.
        ClientGone: The caller went away meanwhile; the rollouts were ended.
        UnknownState: An item names a state that is not served.
        UnknownSignal: An item names a signal that its state does not have.
        DeadlineExceeded: Not one item was done in time.
    """
    services = services_of(request)
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
