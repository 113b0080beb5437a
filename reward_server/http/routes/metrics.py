"""``GET /metrics``, for Prometheus."""

from fastapi import APIRouter
from fastapi.responses import Response
from prometheus_client import CONTENT_TYPE_LATEST

from reward_server.services import ServicesDep

__all__ = ["router"]

router = APIRouter(tags=["operations"])

_EXAMPLE = 'greenfork_items_total{status="scored",code=""} 128.0\n'


@router.get(
    "/metrics",
    summary="Counters",
    response_class=Response,
    response_description="Prometheus' text format.",
    responses={200: {"content": {"text/plain": {"example": _EXAMPLE}}}},
)
async def metrics(services: ServicesDep) -> Response:
    """Items by status and code, request seconds, rollouts, ledger hits, joins, workers."""
    return Response(services.telemetry.page(), media_type=CONTENT_TYPE_LATEST)
