"""``GET /v1/episodes/{episode_id}/trace``: vehicles, signals and queues, second by second."""

import asyncio
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import Response

from reward_server.auth.callers import caller_of
from reward_server.auth.middleware import requires
from reward_server.http.content import compressed
from reward_server.http.problems import documented
from reward_server.http.request_scope import while_connected
from reward_server.services import ServicesDep
from shared.wire.viewing.episode_traces import EpisodeTrace

__all__ = ["router"]

router = APIRouter(tags=["episodes"], dependencies=[requires("score", "admin", "read")])

_LATEST_S = 1e9


@router.get(
    "/v1/episodes/{episode_id}/trace",
    summary="Show a part of an episode",
    response_model=EpisodeTrace,
    response_description="Where everything was in each second.",
    responses=documented(401, 403, 404, 409, 410, 422, 500, 503),
)
async def trace(
    request: Request,
    services: ServicesDep,
    episode_id: Annotated[str, Path(max_length=64)],
    from_s: Annotated[
        float | None,
        Query(ge=0, le=_LATEST_S, description="Begin of the part. Default: the episode's."),
    ] = None,
    to_s: Annotated[
        float | None,
        Query(ge=0, le=_LATEST_S, description="Its end. Default: 300 s later, which is the limit."),
    ] = None,
    tls_id: Annotated[
        str | None,
        Query(max_length=256, description="A steered signal, to get its surroundings only."),
    ] = None,
) -> Response:
    """Repeats the episode from its begin, and returns what was to be seen from `from_s` to `to_s`.

    The repeated steps must be answered as they are on record; otherwise there is no trace. The
    episode does not move, and may be over.
    """
    playback = services.episode_desk.playback
    work = playback.trace(caller_of(request), episode_id, from_s, to_s, tls_id)
    body = await while_connected(request, work)
    return await asyncio.to_thread(compressed, request, body)
