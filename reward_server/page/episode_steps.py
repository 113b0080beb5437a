"""``GET /v1/episodes/{episode_id}/steps``: the decisions of an episode and their results."""

import asyncio
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import Response

from reward_server.auth.callers import caller_of
from reward_server.auth.middleware import requires
from reward_server.http.content import compressed
from reward_server.http.problems import documented
from reward_server.services import ServicesDep
from shared.wire.viewing.episode_steps import EpisodeSteps

__all__ = ["router"]

router = APIRouter(tags=["episodes"], dependencies=[requires("score", "admin", "read")])


@router.get(
    "/v1/episodes/{episode_id}/steps",
    summary="Read an episode's steps",
    response_model=EpisodeSteps,
    response_description="The requests and answers of some steps.",
    responses=documented(401, 403, 404, 410, 422, 503),
)
async def steps(
    request: Request,
    services: ServicesDep,
    episode_id: Annotated[str, Path(max_length=64)],
    limit: Annotated[int, Query(ge=1, le=1000, description="Steps per page.")] = 200,
    offset: Annotated[int, Query(ge=0, le=2**31, description="Steps to skip.")] = 0,
) -> Response:
    """Returns the request and the answer of each step, and how the episode began."""
    found = await services.episodes.steps(caller_of(request), episode_id, offset, limit)

    def told() -> Response:
        pairs = enumerate(found.steps, start=offset)
        texts = [
            b'{"step":%d,"request":%s,"answer":%s}' % (number, one.request, one.answer)
            for number, one in pairs
        ]
        head = b'{"begin":%s,"steps":[' % found.begin
        rest = b'],"total":%d,"limit":%d,"offset":%d}' % (found.total, limit, offset)
        return compressed(request, head + b",".join(texts) + rest)

    return await asyncio.to_thread(told)
