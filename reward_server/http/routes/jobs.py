"""``/v1/jobs``: whole files of decisions."""

import re
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import Response, StreamingResponse
from sse_starlette import EventSourceResponse

from reward_server.auth.callers import caller_of
from reward_server.auth.middleware import requires
from reward_server.http.content import media_type
from reward_server.http.problems import documented
from reward_server.http.reading.documents import read_model
from reward_server.http.request_scope import body_parts, notes_of
from reward_server.http.routes.examples import SCORE_REQUESTS
from reward_server.jobs.parser import BodyForm
from reward_server.services import ServicesDep
from shared.errors import InvalidRequest, RequestError
from shared.wire.jobs import JobPage, JobSpec, JobView

__all__ = ["PATH", "router"]

PATH = "/v1/jobs"
"""Bodies sent here are written to disk as they arrive."""

router = APIRouter(tags=["jobs"], dependencies=[requires("score", "admin")])

_JOB_ID = "5b0e1f2c9a7d4e6f8a1b2c3d4e5f6a7b"
_LINES = "application/x-ndjson"
_PARQUET = "application/vnd.apache.parquet"
_FORMS: dict[str, BodyForm] = {
    "application/json": "json",
    _LINES: "lines",
    "application/jsonl": "lines",
    _PARQUET: "parquet",
}
_REQUEST_KEY = re.compile(r"[\x21-\x7e]{1,200}")
_ITEM = (
    '{"id":1,"state_id":"crossing@900-0a1b2c3d4e5f","tls_id":"C",'
    '"decision":{"kind":"extend","extend":true}}\n'
)
_BODY = {
    "required": True,
    "content": {
        "application/json": {
            "schema": {"$ref": "#/components/schemas/ScoreRequest"},
            "examples": {"decision": SCORE_REQUESTS["decision"]},
        },
        _LINES: {"schema": {"type": "string"}, "example": _ITEM},
        _PARQUET: {"schema": {"type": "string", "format": "binary"}},
    },
}
_KEY_HEADER = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "The same key with the same content returns the same job.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 200},
}
_LOCATION = {"Location": {"description": "The job.", "schema": {"type": "string"}}}
JobId = Annotated[str, Path(max_length=64, examples=[_JOB_ID])]


@router.post(
    "/v1/jobs",
    summary="Score a whole file",
    status_code=202,
    response_model=JobView,
    response_description="The job, which continues even if the connection closes.",
    responses={
        200: {
            "model": JobView,
            "description": "The job that was submitted earlier under this key.",
        },
        202: {"headers": _LOCATION},
        **documented(400, 401, 403, 404, 408, 409, 413, 422, 503, 507),
    },
    openapi_extra={"requestBody": _BODY, "parameters": [_KEY_HEADER]},
)
async def submit(
    request: Request,
    services: ServicesDep,
    spec: Annotated[
        str | None,
        Query(
            description="With a file: the reward, the series and the metrics wanted, as JSON.",
            examples=['{"reward": {"name": "queue", "horizon_s": 30}, "series": false}'],
        ),
    ] = None,
) -> Response:
    """Scores a file of decisions in the background, across restarts of the service.

    The file is accepted as a whole or not at all: an error names the first line that is not an
    item. A job gets a small share of the workers next to its caller's other requests, and all
    workers that are otherwise idle.
    """
    form = _form(request)
    terms = _spec(spec, form)
    caller = caller_of(request)
    view, is_new = await services.jobs.submit(
        caller, body_parts(request, "job"), form, terms, _request_key(request)
    )
    notes_of(request).fields.update(job_id=view.id, items=view.items, is_new=is_new)
    return Response(
        view.model_dump_json(),
        status_code=202 if is_new else 200,
        headers={"Location": f"/v1/jobs/{view.id}"},
        media_type="application/json",
    )


@router.get(
    "/v1/jobs",
    summary="List your jobs",
    response_description="One page of the caller's jobs, newest first.",
    responses=documented(401, 403, 422, 503),
)
async def list_jobs(
    request: Request,
    services: ServicesDep,
    limit: Annotated[int, Query(ge=1, le=1000, description="Jobs per page.")] = 100,
    offset: Annotated[int, Query(ge=0, le=2**31, description="Jobs to skip.")] = 0,
) -> JobPage:
    """Lists the caller's own jobs; finished ones are kept for a limited time."""
    return await services.jobs.page(caller_of(request), limit, offset)


@router.get(
    "/v1/jobs/{job_id}",
    summary="Show a job",
    response_description="The job's progress.",
    responses=documented(401, 403, 404, 422, 503),
)
async def show(request: Request, services: ServicesDep, job_id: JobId) -> JobView:
    """Shows a job's status, counts, rate and remaining time."""
    return await services.jobs.view(caller_of(request), job_id)


@router.get(
    "/v1/jobs/{job_id}/results",
    summary="Read a job's results",
    response_class=StreamingResponse,
    response_description="One JSON object per line, in the order of the items.",
    responses={
        200: {"content": {_LINES: {"schema": {"type": "string"}}}},
        **documented(401, 403, 404, 422, 503),
    },
)
async def results(
    request: Request,
    services: ServicesDep,
    job_id: JobId,
    follow: Annotated[bool, Query(description="Wait for results that are not ready yet.")] = False,
    offset: Annotated[int, Query(ge=0, le=2**31, description="Results to skip.")] = 0,
) -> StreamingResponse:
    """Returns the same bytes for the same items, however often the job was interrupted.

    If there are fewer lines than items, the job is unfinished or failed, or the connection broke:
    check the job and request the rest with `offset`.
    """
    job = await services.jobs.find(caller_of(request), job_id)
    lines = services.jobs.follower.results(job, offset, follow)
    return StreamingResponse(lines, media_type=_LINES)


@router.get(
    "/v1/jobs/{job_id}/events",
    summary="Follow a job",
    response_class=EventSourceResponse,
    response_description="Server-sent events: `progress`, then `done`, `failed` or `cancelled`, "
    "each with the job as JSON.",
    responses={
        200: {"content": {"text/event-stream": {"schema": {}}}},
        **documented(401, 403, 404, 422, 503),
    },
)
async def events(request: Request, services: ServicesDep, job_id: JobId) -> EventSourceResponse:
    """Sends an event whenever something has changed, at most two per second."""
    job = await services.jobs.find(caller_of(request), job_id)
    return EventSourceResponse(services.jobs.follower.events(job))


@router.delete(
    "/v1/jobs/{job_id}",
    summary="Cancel and delete a job",
    status_code=204,
    response_class=Response,
    response_description="The job and its results are deleted.",
    responses=documented(401, 403, 404, 422, 503),
)
async def delete(request: Request, services: ServicesDep, job_id: JobId) -> Response:
    """Cancels the job if it is running. Its finished rollouts stay in the ledger."""
    await services.jobs.delete(caller_of(request), job_id)
    return Response(status_code=204)


def _form(request: Request) -> BodyForm:
    given = media_type(request)
    if given not in _FORMS:
        raise InvalidRequest(
            f"send the body as {', '.join(f'`{known}`' for known in _FORMS)}",
            "unsupported_content_type",
        )
    return _FORMS[given]


def _spec(text: str | None, form: BodyForm) -> JobSpec:
    if text is None:
        return JobSpec()
    if form == "json":
        raise InvalidRequest("spec: only used with a file; a JSON body contains the reward itself")
    try:
        return read_model(JobSpec, text.encode())
    except RequestError as exc:
        raise InvalidRequest(f"spec: {exc.message}", exc.code) from exc


def _request_key(request: Request) -> str | None:
    key = request.headers.get("idempotency-key")
    if key is not None and not _REQUEST_KEY.fullmatch(key):
        raise InvalidRequest("Idempotency-Key: 1 to 200 visible ASCII characters")
    return key
