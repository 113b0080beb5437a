"""``GET /healthz`` and ``GET /readyz``: what an orchestrator asks."""

from fastapi import APIRouter

from reward_server.http.problems import documented
from reward_server.services import ServicesDep
from shared.wire.info import Health

__all__ = ["router"]

router = APIRouter(tags=["operations"])


@router.get("/healthz", summary="Alive?", response_description="The process answers.")
async def healthz() -> Health:
    """Says that the process responds, not whether it can score."""
    return Health(status="ok")


@router.get(
    "/readyz",
    summary="Able to score?",
    response_description="A state was just scored and gave the same number as before.",
    responses=documented(503),
)
async def readyz(services: ServicesDep) -> Health:
    """Rolls out a canary state and compares it with its recorded outcome.

    The verdict is reused for a few seconds, so that probes do not load the workers.
    """
    await services.canary.check()
    return Health(status="ok")
