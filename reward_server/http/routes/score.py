"""``POST /v1/score``."""

import asyncio

from fastapi import APIRouter, Request
from fastapi.responses import Response
from starlette.routing import Route

from reward_server.auth.middleware import BEARER, check_scope
from reward_server.http.content import compressed
from reward_server.http.problems import documented
from reward_server.http.request_scope import notes_of
from reward_server.http.routes.examples import SCORE_REQUESTS
from reward_server.http.scored import document_of, scored_for
from reward_server.page.traced import traced_score
from reward_server.scoring.playback import refuse_long_traces
from shared.wire.scoring import ScoreResponse

__all__ = ["direct_route", "router"]

router = APIRouter(tags=["scoring"])

_DOCUMENTED = {
    "security": [{BEARER.scheme_name: []}],
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {"$ref": "#/components/schemas/ScoreRequest"},
                "examples": SCORE_REQUESTS,
            }
        },
    },
}


@router.post(
    "/v1/score",
    summary="Score decisions",
    response_model=ScoreResponse,
    response_description="One result per item, in the order of the items.",
    responses=documented(400, 401, 403, 404, 408, 413, 422, 503, 504),
    openapi_extra=_DOCUMENTED,
)
async def score(request: Request) -> Response:
    """Rolls out every decision from its state and returns its reward.

    Repeating a request is harmless and cheap: outcomes are stored, and equal work is done once.
    An item that could not be scored is `failed` with `reward: null` and never a number; one whose
    decision breaks a rule is `invalid` with the `invalid_reward`.
    """
    notes_of(request).route = direct_route.path
    check_scope(request, "score")
    document = await document_of(request, "score")
    body = document.batch()
    if body.trace:
        refuse_long_traces(len(body.items), body.reward)
    scored = await scored_for(request, body)
    if body.trace:
        traced = await traced_score(request, body, scored)
        text = await asyncio.to_thread(traced.model_dump_json)
        return await asyncio.to_thread(compressed, request, text.encode())
    return Response(scored.json(), media_type="application/json")


direct_route = Route("/v1/score", score, methods=["POST"])
"""The same route without FastAPI's work around it, which would take as long as everything else in
a cached answer. It precedes the router's route, which documents it."""
