"""``GET /v1/service`` and ``GET /v1/service/events``: what the gateway is doing, live."""

import asyncio
import time
from collections.abc import AsyncIterator

from fastapi import APIRouter, Request
from sse_starlette import EventSourceResponse, ServerSentEvent

from reward_server.auth.callers import Caller, caller_of
from reward_server.auth.middleware import requires
from reward_server.http.problems import documented
from reward_server.services import Services, ServicesDep
from shared.errors import LedgerError
from shared.wire.jobs import JobView
from shared.wire.viewing.service import Figure, FlowView, ServiceView, Viewer
from sim_workers.pool.fair_queue import FlowLoad

__all__ = ["follow", "router"]

router = APIRouter(tags=["operations"], dependencies=[requires("score", "upload", "admin", "read")])

_EVERY_S = 1.0
_LOOKS = 4
"""Checks per second whether the gateway is stopping, so that it need not wait for viewers."""
_MOST_S = 3600.0
"""Maximum length of a stream. Viewers reconnect, so that a revoked key does not watch for ever."""
_JOBS = 20
_LEFT_OUT = ("_bucket", "_created")


@router.get(
    "/v1/service",
    summary="Show what the service is doing",
    response_description="The current figures.",
    responses=documented(401, 403),
)
async def service(request: Request, services: ServicesDep) -> ServiceView:
    """Returns the samples of `/metrics`, each caller's share of the workers, and your jobs.

    Other callers are named only if you have the scope `admin`.
    """
    return await _view(services, caller_of(request))


@router.get(
    "/v1/service/events",
    summary="Follow the service",
    response_class=EventSourceResponse,
    response_description="Server-sent events `service`, each with what `GET /v1/service` returns.",
    responses={
        200: {"content": {"text/event-stream": {"schema": {}}}},
        **documented(401, 403),
    },
)
async def events(request: Request, services: ServicesDep) -> EventSourceResponse:
    """Sends the figures once a second, for up to an hour."""
    return EventSourceResponse(follow(services, caller_of(request)))


async def follow(services: Services, caller: Caller) -> AsyncIterator[ServerSentEvent]:
    """Yields the figures once a second until the gateway stops or an hour has passed."""
    loop = asyncio.get_running_loop()
    end_s = loop.time() + _MOST_S
    while loop.time() < end_s and not services.jobs.is_hung_up:
        view = await _view(services, caller)
        yield ServerSentEvent(view.model_dump_json(), event="service")
        for _ in range(_LOOKS):
            if services.jobs.is_hung_up:
                return
            await asyncio.sleep(_EVERY_S / _LOOKS)


async def _view(services: Services, caller: Caller) -> ServiceView:
    loads = services.runner.stats().flows
    return ServiceView(
        at_s=round(time.time(), 3),
        uptime_s=round(services.uptime_s(), 3),
        viewer=Viewer(name=caller.name, scopes=tuple(sorted(caller.scopes))),
        figures=_figures(services),
        flows=_shown(loads, caller),
        jobs=await _jobs(services, caller),
    )


def _figures(services: Services) -> tuple[Figure, ...]:
    return tuple(
        Figure(name=sample.name, labels=dict(sample.labels), value=sample.value)
        for metric in services.telemetry.registry.collect()
        for sample in metric.samples
        if not sample.name.endswith(_LEFT_OUT)
    )


def _shown(loads: tuple[FlowLoad, ...], caller: Caller) -> tuple[FlowView, ...]:
    """Each flow; for callers who are not admins, those of others are combined."""
    own = {caller.calls().name, caller.jobs().name}
    shown: list[FlowLoad] = []
    others: list[FlowLoad] = []
    for load in loads:
        (shown if "admin" in caller.scopes or load.name in own else others).append(load)
    if others:
        sums = (sum(getattr(o, n) for o in others) for n in ("weight", "queued", "running", "done"))
        shown.append(FlowLoad("others", *sums))
    return tuple(
        FlowView(
            name=load.name,
            weight=load.weight,
            queued=load.queued,
            running=load.running,
            done=load.done,
        )
        for load in shown
    )


async def _jobs(services: Services, caller: Caller) -> tuple[JobView, ...] | None:
    try:
        return (await services.jobs.page(caller, _JOBS, 0)).jobs
    except LedgerError:
        return None
