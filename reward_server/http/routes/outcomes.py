"""``GET /v1/states/{state_id}/outcomes``."""

import asyncio
from time import perf_counter
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from reward_server.auth.callers import caller_of
from reward_server.auth.middleware import requires
from reward_server.http.content import compressed
from reward_server.http.problems import documented
from reward_server.http.request_scope import notes_of, while_connected
from reward_server.http.routes.states import StateIdPath
from reward_server.page.traced import traced_outcomes
from reward_server.scoring.playback import refuse_long_traces
from reward_server.services import ServicesDep
from shared.errors import InvalidRequest
from shared.wire.outcomes import OutcomesQuery, OutcomesResponse

__all__ = ["router"]

router = APIRouter(tags=["states"], dependencies=[requires("score", "read")])


@router.get(
    "/v1/states/{state_id}/outcomes",
    summary="Roll out every legal decision",
    response_description="Every legal decision of one kind, best first.",
    response_model=OutcomesResponse,
    responses=documented(401, 403, 404, 422, 500, 503, 504),
)
async def outcomes(
    request: Request,
    services: ServicesDep,
    state_id: StateIdPath,
    query: Annotated[OutcomesQuery, Query()],
) -> Response:
    """Returns what each decision leads to, and how much worse it is than the best one.

    Outcomes are those of scoring, and are stored the same way. One that could not be computed is
    `failed` with `reward: null`; the others are ranked without it.
    """
    await services.new_states.meet([state_id])
    # Every signal's decisions may have to be counted: in a thread, so that other requests go on.
    choice = await asyncio.to_thread(services.explorer.choice, state_id, query)
    load, limit = len(choice.decisions), services.settings.max_items
    if load > limit:
        raise InvalidRequest(
            f"kind: {load} decisions of kind {query.kind} are legal here, more than the limit of "
            f"{limit} items per request",
            "too_many_items",
        )
    if query.trace or query.reference_trace:
        refuse_long_traces(load + 1 if query.trace else 1, query.spec())
    caller, notes = caller_of(request), notes_of(request)
    notes.fields.update(items=load, reward=query.reward, horizon_s=query.horizon_s)
    begin_s = perf_counter()
    with services.admission.admitted(caller, load):
        work = services.explorer.explore(choice, query, caller.calls(), notes.request_id)
        explored = await while_connected(request, work)
    services.telemetry.count_explored(explored)
    notes.add_counts(explored.response.counts, explored.outcomes, perf_counter() - begin_s)
    if query.trace or query.reference_trace:
        traced = await traced_outcomes(request, choice, query, explored.response)
        text = await asyncio.to_thread(traced.model_dump_json)
        return await asyncio.to_thread(compressed, request, text.encode())
    return Response(explored.response.model_dump_json(), media_type="application/json")
