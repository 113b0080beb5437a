"""``POST /compat/…``: the rewards of ``/v1/score`` in other trainers' own protocols."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response
from pydantic import BaseModel

from reward_server.auth.callers import caller_of
from reward_server.auth.middleware import requires
from reward_server.http.compat.nemo_gym import VerifyAnswer, VerifyRequest
from reward_server.http.compat.openrlhf import OpenRLHFAnswer, OpenRLHFRequest
from reward_server.http.compat.slime import SlimeAnswer, SlimeRequest
from reward_server.http.content import check_is_json
from reward_server.http.problems import documented
from reward_server.http.reading.documents import Document, Form
from reward_server.http.routes.scored import scored_for
from reward_server.services import Services, ServicesDep
from shared.wire.trainer_terms import TrainerTerms

__all__ = ["BODIES", "router"]

BODIES = (OpenRLHFRequest, SlimeRequest, VerifyRequest)
"""The models of the bodies, which no route names to FastAPI."""

router = APIRouter(prefix="/compat", tags=["other trainers"], dependencies=[requires("score")])

_PROBLEMS = documented(400, 401, 403, 404, 408, 413, 422, 503, 504)
Terms = Annotated[TrainerTerms, Query()]


def _body(model: type[BaseModel]) -> dict[str, Any]:
    """The request body in the OpenAPI document; it is read from the bytes, past FastAPI."""
    schema = {"$ref": f"#/components/schemas/{model.__name__}"}
    return {"required": True, "content": {"application/json": {"schema": schema}}}


async def _read(request: Request, services: Services, form: Form, terms: TrainerTerms) -> Document:
    check_is_json(request)
    body, caller = await request.body(), caller_of(request)
    return await services.reader.read(form, body, caller.name, terms.extend_s)


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
    terms: Terms,
    services: ServicesDep,
) -> Response:
    """For `--reward.remote_url`. Returns all rewards or an error, never a placeholder."""
    document = await _read(request, services, "openrlhf", terms)
    scored = await scored_for(request, services, terms.request(document.items))
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
    terms: Terms,
    services: ServicesDep,
) -> Response:
    """For `--rm-type remote_rm --rm-url … --reward-key reward`. Returns a reward or an error."""
    document = await _read(request, services, "slime", terms)
    scored = await scored_for(request, services, terms.request(document.items))
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
    terms: Terms,
    services: ServicesDep,
) -> Response:
    """For a resources server's `/verify`. Returns the request with a reward, or an error."""
    document = await _read(request, services, "nemo_gym", terms)
    scored = await scored_for(request, services, terms.request(document.items))
    answer = VerifyAnswer.of(scored.response.results[0])
    return Response(answer.json_with(document.echo), media_type="application/json")
