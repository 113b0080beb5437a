"""Every error as an RFC 9457 problem document: the one place where errors meet HTTP."""

from collections.abc import Mapping, Sequence

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from fastapi.routing import iter_route_contexts
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from reward_server.http.content import JSON_WANTED, is_json
from reward_server.observability.metrics import Telemetry
from shared import errors
from shared.errors import GreenforkError
from shared.validation import request_error
from shared.wire.problems import PROBLEM_MEDIA_TYPE, Problem

__all__ = ["INTERNAL", "documented", "install_handlers", "respond", "respond_error"]

_RETRY_AFTER_S = 5
"""Where an error that passes does not say how long it takes."""

INTERNAL = Problem(
    title="Internal error",
    status=500,
    detail="internal error; the service's log has the details under this request's X-Request-ID",
    code="internal",
    retryable=False,
)

_SAYINGS = {
    400: "The body is not JSON.",
    401: "The API key is missing or wrong.",
    403: "The API key lacks the required scope.",
    404: "Something named in the request does not exist; the detail says what.",
    408: "The body arrived too slowly.",
    409: "The request conflicts with existing data; the detail says how.",
    410: "It was deleted.",
    413: "The body is larger than the service accepts.",
    422: "The body is JSON, but not a valid request; the detail names the item and field.",
    429: "You have as many unfinished episodes as you may; `Retry-After` says when to retry.",
    500: "What was rolled out again is not what is on record; the service's log has the details.",
    503: "Too busy, or not ready; `Retry-After` says when to retry.",
    507: "Storage is full; delete jobs, or ask the operator.",
    504: "No item finished within `timeout_s`.",
}
_EXAMPLES: Sequence[GreenforkError] = (
    errors.MalformedRequest("not JSON: Expecting value"),
    errors.Unauthorized("send the API key as a bearer token"),
    errors.Forbidden("the key of ann has the scope upload, but lacks the required scope score"),
    errors.UnknownState("no state 'crossing@900-0a1b2c3d4e5f' is known here"),
    errors.BodyTooSlow("no part of the body arrived for 60 s"),
    errors.ConflictingState(
        "crossing@900-0a1b2c3d4e5f already exists, as a state of crossing-0a1b2c3d4e5f with seed "
        "7 and scale 1"
    ),
    errors.EpisodeGone("episode 3f8a1b2c9d4e5f60718293a4b5c6d7e8 was deleted"),
    errors.BodyTooLarge("the body is larger than 16777216 bytes"),
    errors.InvalidRequest(
        "items[0].decision.kind: Input should be 'extend', not \"hold\"", "unknown_decision_kind"
    ),
    errors.Overloaded(
        "20000 items are in progress, 20000 of them yours; the limit is 20000; retry later"
    ),
    errors.TooManyEpisodes(
        "you have 20000 unfinished episodes, which is the limit; finish or delete some"
    ),
    errors.TraceDiffers(
        "rolled out again to be looked at, the simulation did not show the outcome on record; "
        "neither can be trusted: tell the service's operator"
    ),
    errors.StorageFull(
        "your jobs take 4096 MiB, this one takes 1 more, and the limit is 4096; delete finished "
        "jobs"
    ),
    errors.DeadlineExceeded("no item finished within timeout_s = 30"),
)
_PROBLEMS = {error.http_status: Problem.of(error) for error in _EXAMPLES}


def install_handlers(app: FastAPI, telemetry: Telemetry) -> None:
    """Has ``app`` answer every error with a problem document, and count those of our own."""

    async def own(_request: Request, error: Exception) -> Response:
        assert isinstance(error, GreenforkError)  # noqa: S101
        telemetry.count_refusal(error.code)
        return respond_error(error)

    async def gone(request: Request, error: Exception) -> Response:
        return await own(
            request, errors.ClientGone("the caller disconnected before the end of its request")
        )

    async def invalid(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)  # noqa: S101
        if request.method == "POST" and not is_json(request):
            return respond(
                Problem.of(errors.InvalidRequest(JSON_WANTED, "unsupported_content_type"))
            )
        return respond(Problem.of(request_error(error.errors())))

    async def http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)  # noqa: S101
        if isinstance(error.__cause__, GreenforkError):  # raised while FastAPI read the body
            return await own(request, error.__cause__)
        is_other_method = error.status_code == 405
        headers = {"Allow": ", ".join(_methods(request))} if is_other_method else error.headers
        return respond(_of_http(request, error), headers)

    app.add_exception_handler(GreenforkError, own)
    app.add_exception_handler(ClientDisconnect, gone)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, http)


def respond(problem: Problem, headers: Mapping[str, str] | None = None) -> Response:
    """The HTTP response of a problem."""
    return Response(
        problem.model_dump_json(),
        status_code=problem.status,
        headers=dict(headers or {}),
        media_type=PROBLEM_MEDIA_TYPE,
    )


def respond_error(error: GreenforkError) -> Response:
    """The HTTP response of an error."""
    return respond(Problem.of(error), _headers(error))


def documented(*statuses: int) -> dict[int | str, dict[str, object]]:
    """OpenAPI's description of the problems a route may answer with."""
    return {status: _documentation(status) for status in statuses}


def _documentation(status: int) -> dict[str, object]:
    content = {
        "schema": {"$ref": "#/components/schemas/Problem"},
        "example": _PROBLEMS[status].model_dump(),
    }
    described: dict[str, object] = {
        "description": _SAYINGS[status],
        "content": {PROBLEM_MEDIA_TYPE: content},
    }
    if status in (errors.Overloaded.http_status, errors.TooManyEpisodes.http_status):
        wait = {"description": "Seconds.", "schema": {"type": "integer"}}
        described["headers"] = {"Retry-After": wait}
    return described


def _headers(error: GreenforkError) -> dict[str, str]:
    if isinstance(error, errors.Overloaded):
        return {"Retry-After": str(error.retry_after_s)}
    if error.http_status == errors.NotReady.http_status:
        return {"Retry-After": str(_RETRY_AFTER_S)}
    return {"WWW-Authenticate": "Bearer"} if error.http_status == 401 else {}


def _methods(request: Request) -> list[str]:
    """What a path takes: of all its routes, where the framework names the first one's only."""
    routes = iter_route_contexts(request.app.routes)
    here = [route for route in routes if route.path_regex.match(request.scope["path"])]
    return sorted({method for route in here for method in route.methods or ()})


def _of_http(request: Request, error: HTTPException) -> Problem:
    """The problem of an error that the framework raised."""
    path = request.url.path
    code, detail = {
        404: ("not_found", f"there is nothing at {path}"),
        405: ("method_not_allowed", f"{path} does not take {request.method}"),
    }.get(error.status_code, ("bad_request", str(error.detail)))
    return Problem(
        title=code.replace("_", " ").capitalize(),
        status=error.status_code,
        detail=detail,
        code=code,
        retryable=False,
    )
