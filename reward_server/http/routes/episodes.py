"""``/v1/episodes``: whole runs under decisions from outside."""

import asyncio
import re
from collections.abc import Mapping
from typing import Annotated, TypeVar

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import Response, StreamingResponse
from pydantic import BaseModel
from starlette.routing import Route

from reward_server.auth.callers import caller_of
from reward_server.auth.middleware import check_scope, requires
from reward_server.http.content import check_is_json
from reward_server.http.problems import documented
from reward_server.http.reading.documents import is_light, read_model
from reward_server.http.request_scope import notes_of
from reward_server.http.trip_forms import TRIP_FORMS, TripForm, write_trips
from reward_server.services import ServicesDep, services_of
from shared.errors import InvalidRequest
from shared.wire.episode_views import (
    CandidatesRequest,
    CandidatesResponse,
    EpisodeDetail,
    EpisodePage,
    EpisodeResult,
    EpisodeStatus,
)
from shared.wire.episodes import EpisodeRequest, StepAnswer, StepRequest
from shared.wire.states import StateView

__all__ = ["BODIES", "direct_route", "router"]

router = APIRouter(tags=["episodes"], dependencies=[requires("score", "admin", "read")])
_CHANGES = [requires("score", "admin")]
"""Of routes that do more than to look."""

_JSON = "application/json"
_LINES = "application/x-ndjson"
_EPISODE_ID = "3f8a1b2c9d4e5f60718293a4b5c6d7e8"
_REQUEST_KEY = re.compile(r"[\x21-\x7e]{1,200}")
_CREATED = 201
_KEY_HEADER = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "The same key with the same content returns the same episode.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 200},
}
EpisodeId = Annotated[str, Path(max_length=64, examples=[_EPISODE_ID])]
_Model = TypeVar("_Model", bound=BaseModel)

BODIES: tuple[type[BaseModel], ...] = (EpisodeRequest, StepRequest, CandidatesRequest)
"""Models of request bodies, which the routes read themselves."""


def _body(model: type[BaseModel], example: Mapping[str, object]) -> dict[str, object]:
    schema = {"$ref": f"#/components/schemas/{model.__name__}"}
    content = {_JSON: {"schema": schema, "example": example}}
    return {"requestBody": {"required": True, "content": content}}


_CREATE = {
    "scenario_id": "crossing-0a1b2c3d4e5f",
    "seed": 1,
    "control": {"preset": "resco"},
    "reward": {"name": "delay"},
    "observe": ["features"],
}
_STEP = {"step": 0, "decisions": {"C": {"kind": "phase", "next_phase": 2}}}
_CANDIDATES = {
    "items": [
        {"tls_id": "C", "decision": {"kind": "phase", "next_phase": 2}},
        {"id": "stay", "decisions": {}},
    ],
    "reward": {"name": "delay", "horizon_s": 60},
    "base": "greedy",
}


@router.post(
    "/v1/episodes",
    dependencies=_CHANGES,
    summary="Begin an episode",
    status_code=_CREATED,
    response_model=StepAnswer,
    response_description="The episode at its begin, in the form of a step's answer.",
    responses={
        200: {
            "model": StepAnswer,
            "description": "The episode that was begun earlier under this key.",
        },
        **documented(400, 401, 403, 404, 408, 409, 413, 422, 429, 503),
    },
    openapi_extra={**_body(EpisodeRequest, _CREATE), "parameters": [_KEY_HEADER]},
)
async def create(request: Request, services: ServicesDep) -> Response:
    """Begins one run of a scenario, or from a state, in which outside decisions steer signals.

    An episode is a record: processes may die, the service may restart, and it goes on.
    """
    asked = await _read(request, EpisodeRequest)
    caller = caller_of(request)
    begun = await services.episodes.create(caller, asked, _request_key(request))
    return _begun(request, begun.json, begun.episode_id, begun.is_new)


async def step(request: Request) -> Response:
    """Carries decisions out, and steps one interval.

    The same step with the same body is answered the same, however often it is asked; so a client
    that had no answer asks again.
    """
    notes = notes_of(request)
    notes.route = direct_route.path
    check_scope(request, "score", "admin")
    asked = await _read(request, StepRequest)
    episode_id = str(request.path_params["episode_id"])
    done = await services_of(request).episodes.step(caller_of(request), episode_id, asked)
    notes.fields.update(episode_id=episode_id, step=asked.step, is_new=done.is_new)
    return Response(done.json, media_type=_JSON)


router.post(
    "/v1/episodes/{episode_id}/step",
    summary="Step an episode",
    response_model=StepAnswer,
    response_description="Where the episode is then.",
    responses=documented(400, 401, 403, 404, 408, 409, 410, 413, 422, 503),
    openapi_extra={
        **_body(StepRequest, _STEP),
        "parameters": [
            {
                "name": "episode_id",
                "in": "path",
                "required": True,
                "schema": {"type": "string", "maxLength": 64},
                "example": _EPISODE_ID,
            }
        ],
    },
)(step)

direct_route = Route("/v1/episodes/{episode_id}/step", step, methods=["POST"])
"""The same without what FastAPI does around a route; it stands before the router's."""


@router.get(
    "/v1/episodes",
    summary="List your episodes",
    response_description="One page of the caller's episodes, newest first.",
    responses=documented(401, 403, 422, 503),
)
async def list_episodes(
    request: Request,
    services: ServicesDep,
    status: Annotated[
        EpisodeStatus | None, Query(description="Only those that are running, or finished.")
    ] = None,
    limit: Annotated[int, Query(ge=1, le=1000, description="Episodes per page.")] = 100,
    offset: Annotated[int, Query(ge=0, le=2**31, description="Episodes to skip.")] = 0,
) -> EpisodePage:
    """Lists the caller's own episodes; finished ones are kept for a limited time."""
    return await services.episodes.page(caller_of(request), limit, offset, status)


@router.get(
    "/v1/episodes/{episode_id}",
    summary="Show an episode",
    response_description="Where the episode is, with its last answer.",
    responses=documented(401, 403, 404, 410, 422, 503),
)
async def show(request: Request, services: ServicesDep, episode_id: EpisodeId) -> EpisodeDetail:
    """Shows where an episode is; `answer` is what its last step was answered."""
    return await services.episodes.show(caller_of(request), episode_id)


@router.post(
    "/v1/episodes/{episode_id}/score",
    dependencies=_CHANGES,
    summary="Score candidates at the present moment",
    response_model=CandidatesResponse,
    response_description="One result per candidate, in their order.",
    responses=documented(400, 401, 403, 404, 408, 409, 410, 413, 422, 503),
    openapi_extra=_body(CandidatesRequest, _CANDIDATES),
)
async def score(request: Request, services: ServicesDep, episode_id: EpisodeId) -> Response:
    """Rolls out each candidate in an exact fork. The episode does not move.

    With `step` they are tried where the episode was before that step.
    """
    asked, caller = await _read(request, CandidatesRequest), caller_of(request)
    if asked.step is None:
        found = await services.episodes.score(caller, episode_id, asked)
    else:
        found = await services.episode_desk.playback.score(caller, episode_id, asked.step, asked)
    notes_of(request).fields.update(episode_id=episode_id, items=len(asked.items))
    return Response(found.model_dump_json(), media_type=_JSON)


@router.post(
    "/v1/episodes/{episode_id}/fork",
    dependencies=_CHANGES,
    summary="Fork an episode",
    status_code=_CREATED,
    response_model=StepAnswer,
    response_description="The other episode, at the same moment.",
    responses={
        200: {"model": StepAnswer, "description": "The fork that was made under this key."},
        **documented(401, 403, 404, 409, 410, 422, 429, 503),
    },
    openapi_extra={"parameters": [_KEY_HEADER]},
)
async def fork(request: Request, services: ServicesDep, episode_id: EpisodeId) -> Response:
    """Begins another episode from this moment; what becomes of one is nothing to the other."""
    caller = caller_of(request)
    forked = await services.episodes.fork(caller, episode_id, _request_key(request))
    return _begun(request, forked.json, forked.episode_id, forked.is_new)


@router.post(
    "/v1/episodes/{episode_id}/state",
    summary="Save the present moment as a state",
    status_code=_CREATED,
    response_model=StateView,
    response_description="The state, which can be scored on.",
    responses={
        200: {"model": StateView, "description": "It was known already."},
        **documented(401, 403, 404, 409, 410, 422, 503, 507),
    },
)
async def save(request: Request, services: ServicesDep, episode_id: EpisodeId) -> Response:
    """Saves where the episode is, and proves that a replay brings it back.

    Under a control with yellow the state names it: decisions on it are phases, carried out with
    that yellow.
    """
    view, is_new = await services.episodes.save(caller_of(request), episode_id)
    notes_of(request).fields.update(episode_id=episode_id, state_id=view.state_id)
    status = _CREATED if is_new else 200
    return Response(view.model_dump_json(), status_code=status, media_type=_JSON)


@router.get(
    "/v1/episodes/{episode_id}/result",
    summary="Read an episode's figures",
    response_description="The figures of a finished episode.",
    responses=documented(401, 403, 404, 409, 410, 422, 503),
)
async def result(request: Request, services: ServicesDep, episode_id: EpisodeId) -> EpisodeResult:
    """Returns what a finished episode adds up to, from SUMO's own outputs."""
    return await services.episodes.result(caller_of(request), episode_id)


@router.get(
    "/v1/episodes/{episode_id}/trips",
    summary="Read an episode's trips",
    response_class=Response,
    response_description="A trip per row, in the form that `Accept` asks for.",
    responses={
        200: {"content": {form: {"schema": {"type": "string"}} for form in TRIP_FORMS}},
        **documented(401, 403, 404, 409, 410, 422, 503),
    },
)
async def trips(request: Request, services: ServicesDep, episode_id: EpisodeId) -> Response:
    """Returns the trips of a finished episode: CSV, Parquet, or SUMO's own XML."""
    form = _trip_form(request.headers.get("accept", ""))
    tripinfo = await services.episodes.tripinfo(caller_of(request), episode_id)
    content = await asyncio.to_thread(write_trips, tripinfo, form)
    return Response(content, media_type=form)


@router.get(
    "/v1/episodes/{episode_id}/actions",
    summary="Read what an episode's signals were told",
    response_class=StreamingResponse,
    response_description="One call per line, in TraCI's names.",
    responses={
        200: {"content": {_LINES: {"schema": {"type": "string"}}}},
        **documented(401, 403, 404, 410, 422, 503),
    },
)
async def actions(
    request: Request, services: ServicesDep, episode_id: EpisodeId
) -> StreamingResponse:
    """Returns what plain SUMO has to be told over TraCI to make the same trips."""
    lines = await services.episodes.actions(caller_of(request), episode_id)
    return StreamingResponse(lines, media_type=_LINES)


@router.delete(
    "/v1/episodes/{episode_id}",
    dependencies=_CHANGES,
    summary="Delete an episode",
    status_code=204,
    response_class=Response,
    response_description="The episode and its result are deleted.",
    responses=documented(401, 403, 404, 410, 422, 503),
)
async def delete(request: Request, services: ServicesDep, episode_id: EpisodeId) -> Response:
    """Deletes an episode, finished or not, with everything that belongs to it."""
    await services.episodes.delete(caller_of(request), episode_id)
    return Response(status_code=204)


async def _read(request: Request, model: type[_Model]) -> _Model:
    """The body of a request.

    Raises:
        MalformedRequest, InvalidRequest: It is no such message.
    """
    check_is_json(request)
    body = await request.body()
    if is_light(body):
        return read_model(model, body)
    return await asyncio.to_thread(read_model, model, body)


def _begun(request: Request, answer: bytes, episode_id: str, is_new: bool) -> Response:
    notes_of(request).fields.update(episode_id=episode_id, is_new=is_new)
    return Response(
        answer,
        status_code=_CREATED if is_new else 200,
        headers={"Location": f"/v1/episodes/{episode_id}"},
        media_type=_JSON,
    )


def _request_key(request: Request) -> str | None:
    key = request.headers.get("idempotency-key")
    if key is not None and not _REQUEST_KEY.fullmatch(key):
        raise InvalidRequest("Idempotency-Key: 1 to 200 visible ASCII characters")
    return key


def _trip_form(accepted: str) -> TripForm:
    """The first form that a caller accepts; CSV for those that accept anything.

    Raises:
        InvalidRequest: ``not_acceptable``: it accepts none of them.
    """
    wanted = [part.partition(";")[0].strip().lower() for part in accepted.split(",")]
    for media in wanted:
        if media in TRIP_FORMS:
            return TRIP_FORMS[media]
        if media in ("", "*/*", "text/*"):
            return "text/csv"
    raise InvalidRequest(f"Accept: trips come as {', '.join(TRIP_FORMS)}", "not_acceptable")
