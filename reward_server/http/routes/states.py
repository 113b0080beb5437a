"""``GET /v1/states`` and ``GET /v1/states/{state_id}``."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query
from fastapi.responses import Response, StreamingResponse

from reward_server.auth.middleware import requires
from reward_server.http.problems import documented
from reward_server.http.routes.examples import STATE_ID
from reward_server.services import ServicesDep
from shared.wire.states import StatePage, StateRecord, StateView
from sim_workers.states.store import StateStore

__all__ = ["StateIdPath", "router"]

router = APIRouter(tags=["states"], dependencies=[requires("score", "upload", "read")])

_JSON = "application/json"
StateIdPath = Annotated[str, Path(max_length=200, examples=[STATE_ID])]


@router.get(
    "/v1/states",
    summary="List states",
    response_model=StatePage,
    response_description="One page of the states, in the order asked for.",
    responses=documented(401, 403, 422),
)
async def list_states(
    services: ServicesDep,
    scenario: Annotated[
        str | None,
        Query(max_length=200, description="A scenario's id, or its name.", examples=["crossing"]),
    ] = None,
    limit: Annotated[int, Query(ge=1, le=1000, description="States per page.")] = 100,
    offset: Annotated[int, Query(ge=0, le=2**31, description="States to skip.")] = 0,
    order: Annotated[
        Literal["id", "time"], Query(description="By id; or by scenario, seed and simulated time.")
    ] = "id",
) -> StreamingResponse:
    """Lists the states that can be scored, all or those of one scenario."""
    records = await asyncio.to_thread(_records, services.store, scenario)
    if order == "time":
        records.sort(key=lambda one: (one.scenario_id, one.seed, one.run, one.time_s))
    page = records[offset : offset + limit]
    return StreamingResponse(_told(page, len(records), limit, offset), media_type=_JSON)


def _records(store: StateStore, scenario: str | None) -> list[StateRecord]:
    """The states of a scenario, or all states, ordered by id."""
    found = [
        stored.record
        for stored in store
        if scenario is None
        or scenario in (stored.record.scenario_id, stored.manifest.scenario.name)
    ]
    return sorted(found, key=lambda record: record.state_id)


async def _told(
    records: Sequence[StateRecord], total: int, limit: int, offset: int
) -> AsyncIterator[str]:
    """A :class:`StatePage` as JSON, state by state: a page of a large city takes megabytes."""
    yield '{"states":['
    for number, record in enumerate(records):
        yield ("," if number else "") + record.model_dump_json()
    yield f'],"total":{total},"limit":{limit},"offset":{offset}}}'


@router.get(
    "/v1/states/{state_id}",
    summary="Show a state",
    response_model=StateView,
    response_description="The state, with the definitions of its signals.",
    responses=documented(401, 403, 404, 422),
)
async def show_state(services: ServicesDep, state_id: StateIdPath) -> Response:
    """Describes a state: signals, programs, phases, elapsed green, how it is restored."""
    await services.new_states.meet([state_id])
    view = services.store.get(state_id).view()
    return Response(view.model_dump_json(), media_type=_JSON)
