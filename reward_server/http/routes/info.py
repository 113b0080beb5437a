"""``GET /v1/info``: versions, limits, size."""

import asyncio
from dataclasses import asdict
from importlib.metadata import version

from fastapi import APIRouter

from reward_server.auth.middleware import requires
from reward_server.http.problems import documented
from reward_server.services import ServicesDep
from shared.wire.info import IsolationInfo, Limits, RolloutsInfo, ServiceInfo, Versions
from sim_workers.engine.version import sumo_version
from sim_workers.sandbox.confinement import probe

__all__ = ["router"]

router = APIRouter(tags=["operations"], dependencies=[requires("score", "upload", "admin", "read")])


@router.get(
    "/v1/info",
    summary="Versions and limits",
    response_description="What this service is.",
    responses=documented(401, 403),
)
async def info(services: ServicesDep) -> ServiceInfo:
    """Returns the versions that determine rewards, the request limits, and what is served."""
    settings = services.settings
    confined = asdict(await asyncio.to_thread(probe))
    reason = await asyncio.to_thread(services.why_forked)
    return ServiceInfo(
        versions=Versions(greenfork=version("greenfork"), sumo=sumo_version(), ray=version("ray")),
        limits=Limits(**{name: getattr(settings, name) for name in Limits.model_fields}),
        states=len(services.store),
        isolation=IsolationInfo(
            calls=confined.pop("seccomp"), files=confined["landlock"] > 0, **confined
        ),
        rollouts=RolloutsInfo(
            made_by="restore" if reason is None else "fork",
            reason=reason,
            check_every=None if reason else settings.restore_check_every,
        ),
        metrics=services.metrics.views(),
        uptime_s=round(services.uptime_s(), 3),
    )
