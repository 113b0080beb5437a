"""``GET /v1/scenarios/{scenario_id}/geometry``: a network seen from above."""

import asyncio
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import Response

from reward_server.auth.middleware import requires
from reward_server.http.content import compressed
from reward_server.http.problems import documented
from reward_server.services import ServicesDep
from shared.wire.viewing.geometry import Geometry

__all__ = ["router"]

router = APIRouter(tags=["scenarios"], dependencies=[requires("score", "upload", "read")])


@router.get(
    "/v1/scenarios/{scenario_id}/geometry",
    summary="Draw a network",
    response_model=Geometry,
    response_description="Lanes, junctions, stop lines and links, in metres as in the network.",
    responses=documented(401, 403, 404, 422),
)
async def geometry(
    request: Request,
    services: ServicesDep,
    scenario_id: Annotated[str, Path(max_length=200, examples=["crossing-9c60f5a4a4f3"])],
    tls_id: Annotated[
        str | None,
        Query(max_length=200, description="A traffic light, to get its surroundings only."),
    ] = None,
) -> Response:
    """Returns a network, or one traffic light's surroundings up to 250 m from its stop lines.

    A scenario's id is derived from its files, so the answer never changes.
    """
    network = await services.networks.get(scenario_id)

    def told() -> Response:
        if tls_id is None:
            shape = network.whole(scenario_id)
        else:
            shape = network.around(scenario_id, tls_id)
        return compressed(request, shape.model_dump_json().encode())

    response = await asyncio.to_thread(told)
    response.headers["Cache-Control"] = "private, max-age=3600"
    response.headers["Vary"] = "Accept-Encoding, Authorization"
    return response
