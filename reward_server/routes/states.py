"""``GET /v1/states`` and ``GET /v1/states/{state_id}``."""

from typing import Annotated

from fastapi import APIRouter, Path, Query

from reward_server.access.gate import requires
from reward_server.problems import documented
from reward_server.routes.examples import STATE_ID
from reward_server.services import ServicesDep
from shared.states import StatePage, StateView

__all__ = ["router"]

router = APIRouter(tags=["states"], dependencies=[requires("score", "upload")])


@router.get(
    "/v1/states",
    summary="List states",
    response_description="One page of the states, in the order of their ids.",
    responses=documented(401, 403, 422),
)
async def list_states(
    services: ServicesDep,
    scenario: Annotated[
        str | None, Query(description="A scenario's id, or its name.", examples=["crossing"])
    ] = None,
    limit: Annotated[int, Query(ge=1, le=1000, description="States a page.")] = 100,
    offset: Annotated[int, Query(ge=0, description="States to pass over.")] = 0,
) -> StatePage:
    """The states that can be scored on, all or those of one scenario."""
    records = sorted(
        (
            stored.record
            for stored in services.store
            if scenario is None
            or scenario in (stored.record.scenario_id, stored.manifest.scenario.name)
        ),
        key=lambda record: record.state_id,
    )
    return StatePage(
        states=tuple(records[offset : offset + limit]),
        total=len(records),
        limit=limit,
        offset=offset,
    )


@router.get(
    "/v1/states/{state_id}",
    summary="Show a state",
    response_description="The state, with the definitions of its signals.",
    responses=documented(401, 403, 404, 422),
)
async def show_state(
    services: ServicesDep, state_id: Annotated[str, Path(examples=[STATE_ID])]
) -> StateView:
    """What is known of a state: signals, programs, phases, elapsed green, how it is restored."""
    return services.store.get(state_id).view()
