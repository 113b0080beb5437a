"""``POST /compat/…``: the rewards of ``/v1/score`` in other trainers' own protocols."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import Response
from pydantic import BaseModel, ValidationError

from reward_server.access.gate import requires
from reward_server.compat.nemo_gym import VerifyAnswer, VerifyRequest
from reward_server.compat.openrlhf import OpenRLHFAnswer, OpenRLHFRequest
from reward_server.compat.slime import SlimeAnswer, SlimeRequest
from reward_server.problems import documented
from reward_server.routes.scored import scored_for
from reward_server.services import ServicesDep
from shared.errors import InvalidRequest
from shared.trainer_terms import TrainerTerms
from shared.validation import request_error

__all__ = ["BODIES", "router"]

BODIES = (OpenRLHFRequest, SlimeRequest, VerifyRequest)
"""The models of the bodies, which no route names to FastAPI."""

router = APIRouter(prefix="/compat", tags=["other trainers"], dependencies=[requires("score")])

_PROBLEMS = documented(400, 401, 403, 404, 408, 413, 422, 503, 504)
_Body = TypeVar("_Body", bound=BaseModel)
Terms = Annotated[TrainerTerms, Query()]


def _body(model: type[BaseModel]) -> dict[str, Any]:
    """The request body in the OpenAPI document; it is read from the bytes, past FastAPI."""
    schema = {"$ref": f"#/components/schemas/{model.__name__}"}
    return {"required": True, "content": {"application/json": {"schema": schema}}}


def _reading(model: type[_Body]) -> Callable[[Request], Awaitable[_Body]]:
    async def read(request: Request) -> _Body:
        if "json" not in request.headers.get("content-type", ""):
            wanted = "send the body with `Content-Type: application/json`"
            raise InvalidRequest(wanted, "unsupported_content_type")
        try:
            return model.model_validate_json(await request.body())
        except ValidationError as exc:
            raise request_error(exc.errors()) from exc

    return read


def _json(answer: BaseModel) -> Response:
    return Response(answer.model_dump_json(), media_type="application/json")


@router.post(
    "/openrlhf",
    summary="Score for OpenRLHF",
    response_model=OpenRLHFAnswer,
    responses=_PROBLEMS,
    openapi_extra={"requestBody": _body(OpenRLHFRequest)},
)
async def openrlhf(
    request: Request,
    body: Annotated[OpenRLHFRequest, Depends(_reading(OpenRLHFRequest))],
    terms: Terms,
    services: ServicesDep,
) -> Response:
    """For `--reward.remote_url`. All rewards, or an error: never a number in a reward's place."""
    scored = await scored_for(request, services, terms.request(body.items(terms.extend_s)))
    return _json(OpenRLHFAnswer.of(scored.response.results))


@router.post(
    "/slime",
    summary="Score for slime",
    response_model=SlimeAnswer,
    responses=_PROBLEMS,
    openapi_extra={"requestBody": _body(SlimeRequest)},
)
async def slime(
    request: Request,
    body: Annotated[SlimeRequest, Depends(_reading(SlimeRequest))],
    terms: Terms,
    services: ServicesDep,
) -> Response:
    """For `--rm-type remote_rm --rm-url … --reward-key reward`. A reward, or an error."""
    scored = await scored_for(request, services, terms.request([body.item(terms.extend_s)]))
    return _json(SlimeAnswer.of(scored.response.results[0]))


@router.post(
    "/nemo-gym/verify",
    summary="Score for NeMo Gym",
    response_model=VerifyAnswer,
    responses=_PROBLEMS,
    openapi_extra={"requestBody": _body(VerifyRequest)},
)
async def nemo_gym(
    request: Request,
    body: Annotated[VerifyRequest, Depends(_reading(VerifyRequest))],
    terms: Terms,
    services: ServicesDep,
) -> Response:
    """What a resources server's `/verify` is. The request again with a reward, or an error."""
    scored = await scored_for(request, services, terms.request([body.item(terms.extend_s)]))
    return _json(VerifyAnswer.of(body, scored.response.results[0]))
