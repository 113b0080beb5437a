"""``GET`` and ``PUT /v1/problems``."""

import asyncio
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response

from reward_server.auth.callers import caller_of
from reward_server.auth.middleware import requires
from reward_server.domains.planning import PlanningDomain
from reward_server.http.problems import documented
from reward_server.http.request_scope import notes_of
from reward_server.services import ServicesDep
from shared.domains.problems import NewProblem, ProblemPage, ProblemView
from shared.errors import NotReady, ProblemError, UnknownProblem

__all__ = ["router"]

router = APIRouter(tags=["problems"])

_CREATED = 201
_LIMIT_S = 60.0


@router.get(
    "/v1/problems",
    summary="List problems",
    response_description="One page of the problems, ordered by domain and id.",
    responses=documented(401, 403, 422),
    dependencies=[requires("score", "upload")],
)
async def list_problems(
    services: ServicesDep,
    domain: Annotated[
        str | None, Query(max_length=40, description="A domain's name, such as `planning`.")
    ] = None,
    limit: Annotated[int, Query(ge=1, le=1000, description="Problems per page.")] = 100,
    offset: Annotated[int, Query(ge=0, le=2**31, description="Problems to skip.")] = 0,
) -> ProblemPage:
    """Lists the problems that can be scored, of all domains or one."""
    wanted = [one for one in services.domains if domain in (None, one.name)]
    found = [view for one in wanted for view in await asyncio.to_thread(one.problems)]
    page = tuple(found[offset : offset + limit])
    return ProblemPage(problems=page, total=len(found), limit=limit, offset=offset)


@router.get(
    "/v1/problems/{problem_id}",
    summary="Show a problem",
    response_description="What is known about the problem.",
    responses=documented(401, 403, 404, 422),
    dependencies=[requires("score", "upload")],
)
async def show_problem(
    services: ServicesDep, problem_id: Annotated[str, Path(max_length=200)]
) -> ProblemView:
    """Describes a problem."""
    for domain in services.domains:
        for view in await asyncio.to_thread(domain.problems):
            if view.problem_id == problem_id:
                return view
    raise UnknownProblem(f"this service has no problem {problem_id!r}")


@router.put(
    "/v1/problems",
    summary="Upload a planning problem",
    response_description="The problem already exists.",
    responses={
        201: {"model": ProblemView, "description": "The problem is new."},
        **documented(401, 403, 408, 413, 422, 503),
    },
    dependencies=[requires("upload")],
)
async def put_problem(
    request: Request, response: Response, services: ServicesDep, body: NewProblem
) -> ProblemView:
    """Accepts a PDDL problem with its domain, once a worker has parsed both.

    The same texts are the same problem, so repeating an upload is harmless.
    """
    planning = next((one for one in services.domains if isinstance(one, PlanningDomain)), None)
    if planning is None:
        raise NotReady("this service scores no plans: it has no planning domain")
    draft = await asyncio.to_thread(planning.draft, body)
    problem_id = draft.record.problem_id
    is_new = not planning.knows(problem_id)
    if is_new:
        with services.admission.admitted(caller_of(request), 1):
            task = planning.reading(draft).model_copy(update={"limit_s": _LIMIT_S})
            outcome = await services.runner.run(task, caller_of(request).calls())
        if outcome.error is not None:
            said = outcome.error.message, outcome.error.code
            raise NotReady(*said) if outcome.error.retryable else ProblemError(*said)
        await asyncio.to_thread(planning.keep, draft)
    notes_of(request).fields.update(problem_id=problem_id, created=is_new)
    response.status_code = _CREATED if is_new else response.status_code
    return planning.view(problem_id, created=is_new)
