"""``POST /compat/…``: the rewards of ``/v1/score`` in other trainers' own protocols."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, TypeVar

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response
from pydantic import BaseModel

from reward_server.auth.middleware import requires
from reward_server.http.compat.nemo_gym import (
    MaskableAnswer,
    VerifyAnswer,
    VerifyRequest,
    VerifyTerms,
)
from reward_server.http.compat.openrlhf import OpenRLHFAnswer, OpenRLHFRequest
from reward_server.http.compat.slime import SlimeAnswer, SlimeRequest
from reward_server.http.problems import documented
from reward_server.http.reading.documents import Form
from reward_server.http.scored import document_of, scored_for
from shared.errors import DeadlineExceeded
from shared.wire.error_info import ErrorInfo
from shared.wire.scoring import ScoreResult
from shared.wire.trainer_terms import TrainerTerms

__all__ = ["BODIES", "router"]

BODIES = (OpenRLHFRequest, SlimeRequest, VerifyRequest)
"""The models of the bodies, which no route declares to FastAPI."""

router = APIRouter(prefix="/compat", tags=["other trainers"], dependencies=[requires("score")])

Terms = Annotated[TrainerTerms, Query()]
_Handler = TypeVar("_Handler", bound=Callable[..., Awaitable[Response]])


def _protocol(
    path: str, trainer: str, body: type[BaseModel], answer: type[BaseModel]
) -> Callable[[_Handler], _Handler]:
    """The route of one protocol. The body is read from its bytes, bypassing FastAPI."""
    schema = {"$ref": f"#/components/schemas/{body.__name__}"}
    content = {"application/json": {"schema": schema}}
    return router.post(
        path,
        summary=f"Score for {trainer}",
        response_model=answer,
        responses=documented(400, 401, 403, 404, 408, 413, 422, 503, 504),
        openapi_extra={"requestBody": {"required": True, "content": content}},
    )


async def _scored(request: Request, form: Form, terms: TrainerTerms) -> Sequence[ScoreResult]:
    document = await document_of(request, form, terms.extend_s)
    scored = await scored_for(request, terms.request(document.items))
    return scored.response.results


def _json(answer: BaseModel) -> Response:
    return Response(answer.model_dump_json(), media_type="application/json")


@_protocol("/openrlhf", "OpenRLHF", OpenRLHFRequest, OpenRLHFAnswer)
async def openrlhf(request: Request, terms: Terms) -> Response:
    """For `--reward.remote_url`. Returns all rewards or an error, never a placeholder."""
    results = await _scored(request, "openrlhf", terms)
    return _json(OpenRLHFAnswer.of(results))


@_protocol("/slime", "slime", SlimeRequest, SlimeAnswer)
async def slime(request: Request, terms: Terms) -> Response:
    """For `--rm-type remote_rm --rm-url … --reward-key reward`. Returns a reward or an error."""
    results = await _scored(request, "slime", terms)
    return _json(SlimeAnswer.of(results[0]))


@_protocol("/nemo-gym/verify", "NeMo Gym", VerifyRequest, VerifyAnswer)
async def nemo_gym(request: Request, terms: Annotated[VerifyTerms, Query()]) -> Response:
    """For a resources server's `/verify`. Returns the request with a reward, or an error.

    With `missing=mask`, a reward that could not be computed is a sample with `mask_sample`.
    """
    kind = MaskableAnswer if terms.missing == "mask" else VerifyAnswer
    document = await document_of(request, "nemo_gym", terms.extend_s)
    try:
        scored = await scored_for(request, terms.request(document.items))
        answer = kind.of(scored.response.results[0])
    except DeadlineExceeded as exc:
        if terms.missing == "error":
            raise
        answer = MaskableAnswer.masked(ErrorInfo.of(exc))
    return Response(answer.json_with(document.echo), media_type="application/json")
