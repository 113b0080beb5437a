"""``POST /v1/score``."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response
from pydantic import ValidationError

from reward_server.gate import requires
from reward_server.problems import documented
from reward_server.routes.examples import SCORE_REQUESTS
from reward_server.routes.scored import scored_for
from reward_server.services import ServicesDep
from shared.errors import InvalidRequest
from shared.scoring import ScoreRequest, ScoreResponse
from shared.validation import request_error

__all__ = ["router"]

router = APIRouter(tags=["scoring"], dependencies=[requires("score")])

_BODY = {
    "required": True,
    "content": {
        "application/json": {
            "schema": {"$ref": "#/components/schemas/ScoreRequest"},
            "examples": SCORE_REQUESTS,
        }
    },
}


async def _read(request: Request) -> ScoreRequest:
    """The batch in a request's body.

    Straight from the bytes: going through Python's own JSON costs as much as all the rest of a
    cached answer.
    """
    if "json" not in request.headers.get("content-type", ""):
        wanted = "send the body with `Content-Type: application/json`"
        raise InvalidRequest(wanted, "unsupported_content_type")
    try:
        return ScoreRequest.model_validate_json(await request.body())
    except ValidationError as exc:
        raise request_error(exc.errors()) from exc


@router.post(
    "/v1/score",
    summary="Score decisions",
    response_model=ScoreResponse,
    response_description="One result an item, in the order of the items.",
    responses=documented(400, 401, 403, 404, 408, 413, 422, 503, 504),
    openapi_extra={"requestBody": _BODY},
)
async def score(
    request: Request, body: Annotated[ScoreRequest, Depends(_read)], services: ServicesDep
) -> Response:
    """Rolls every decision out from its state and says how good it was.

    Sending the same again is harmless and cheap: outcomes are kept, and equal work is done once.
    An item that could not be scored is `failed` with `reward: null` and never a number; one whose
    decision breaks a rule is `invalid` with the `invalid_reward`.
    """
    scored = await scored_for(request, services, body)
    return Response(scored.json(), media_type="application/json")
