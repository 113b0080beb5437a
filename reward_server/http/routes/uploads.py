"""``PUT /v1/scenarios`` and ``PUT /v1/states``."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from reward_server.auth.callers import caller_of
from reward_server.auth.middleware import requires
from reward_server.http.problems import documented
from reward_server.http.request_scope import body_parts, notes_of
from reward_server.services import ServicesDep
from reward_server.uploads.service import StateOrigin
from shared.wire.states import StateView
from shared.wire.uploads import ScenarioView

__all__ = ["PATHS", "router"]

router = APIRouter(tags=["uploads"], dependencies=[requires("upload")])

PATHS = ("/v1/scenarios", "/v1/states")
"""Bodies sent here are written to disk as they arrive."""
_CREATED = 201
_BINARY = {
    "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
}
_REFUSALS = documented(401, 403, 408, 413, 422, 503, 507)
_STATE_REFUSALS = documented(401, 403, 404, 408, 409, 413, 422, 503, 507)


@router.put(
    "/v1/scenarios",
    summary="Upload a scenario",
    response_description="The scenario already exists.",
    responses={201: {"model": ScenarioView, "description": "It is new."}, **_REFUSALS},
    openapi_extra={"requestBody": _BINARY | {"required": True}},
)
async def put_scenario(
    request: Request,
    response: Response,
    services: ServicesDep,
    name: Annotated[
        str | None,
        Query(
            max_length=100,
            description="Name of the scenario, if the archive is the `scenario/` folder of a "
            "dataset, which is used as is.",
        ),
    ] = None,
) -> ScenarioView:
    """Accepts a zip with one `.sumocfg` and the files that it needs.

    Options that write files, open sockets or are not known to be harmless are left out and listed.
    The same content is the same scenario, so repeating an upload is harmless.
    """
    view = await services.uploads.take_scenario(
        body_parts(request, "upload"), name, caller_of(request).name
    )
    notes_of(request).fields.update(scenario_id=view.scenario_id, created=view.created)
    response.status_code = _CREATED if view.created else response.status_code
    return view


@router.put(
    "/v1/states",
    summary="Upload a state",
    response_description="The state already exists.",
    responses={201: {"model": StateView, "description": "It is new."}, **_STATE_REFUSALS},
    openapi_extra={"requestBody": _BINARY | {"required": True}},
)
async def put_state(
    request: Request,
    response: Response,
    services: ServicesDep,
    scenario: Annotated[str, Query(max_length=200, description="The scenario's id.")],
    seed: Annotated[
        int, Query(ge=0, lt=2**31, description="SUMO's `--seed` of the run that it was saved from.")
    ],
    scale: Annotated[
        float, Query(gt=0, le=1000, description="SUMO's `--scale` of that run.")
    ] = 1.0,
) -> StateView:
    """Accepts a state saved by the service's version of SUMO, as XML or gzipped XML.

    Its time and signals are read from it. It is not proven to restore exactly: every result for it
    says `"restore": "unverified"`.
    """
    origin = StateOrigin(scenario, seed, scale)
    view, created = await services.uploads.take_state(
        body_parts(request, "upload"), origin, caller_of(request).name
    )
    notes_of(request).fields.update(state_id=view.state_id, created=created)
    response.status_code = _CREATED if created else response.status_code
    return view
