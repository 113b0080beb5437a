"""``WS /openenv/ws`` and ``GET /openenv/{health,schema,metadata,state}``."""

import json
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import structlog
from fastapi import APIRouter
from fastapi.responses import JSONResponse
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from reward_server.auth.callers import Caller
from reward_server.auth.middleware import check_scope, requires
from reward_server.http.openenv.messages import Observation, State, TrafficAction, error_frame
from reward_server.http.openenv.session import OpenEnvSession
from reward_server.http.problems import documented, respond_error
from reward_server.scoring.admission import Shares
from reward_server.services import Services
from shared.errors import Forbidden, InvalidRequest
from sim_workers.states.store import StateStore

__all__ = ["MAX_SESSIONS", "router"]

MAX_SESSIONS = 512
"""That are open at a time, up to eight ninths of them of one key."""
_LOG = structlog.get_logger("reward_server")
_NAME = "greenfork"
_DESCRIPTION = (
    "An hour at the traffic lights of a city: exact, repeatable SUMO simulations. reset takes the "
    "fields of POST /v1/episodes (scenario_id or state_id, seed, signals, control, reward, "
    "observe); an action is a model's completion, with several signals an object by signal."
)

router = APIRouter(prefix="/openenv", tags=["openenv"])
_KEYED = [requires("score")]


@dataclass(frozen=True)
class _Served:
    """The scenarios of the states that are served."""

    store: StateStore

    def only_one(self) -> str:
        """The scenario's id.

        Raises:
            InvalidRequest: There are several, or none.
        """
        found = sorted({stored.record.scenario_id for stored in self.store})
        if len(found) != 1:
            listed = ", ".join(found[:10]) or "none"
            raise InvalidRequest(
                f"name a scenario_id or a state_id in reset; served here: {listed}",
                "scenario_needed",
            )
        return found[0]


@router.websocket("/ws")
async def session(websocket: WebSocket) -> None:
    """Answers one client's frames until it leaves."""
    services: Services = websocket.app.state.services
    sessions: Shares = websocket.app.state.openenv_sessions
    caller: Caller = websocket.scope["greenfork.caller"]
    try:
        check_scope(websocket, "score")
    except Forbidden as exc:
        await respond_error(exc)(websocket.scope, websocket.receive, websocket.send)
        return
    await websocket.accept()
    owners = (f"key {caller.name}",)
    if sessions.excess(owners, 1):
        told = error_frame("CAPACITY_REACHED", "too many sessions are open; close some")
        told["data"] |= {"active_sessions": sessions.total, "max_sessions": MAX_SESSIONS}
        await websocket.send_text(json.dumps(told))
        await websocket.close()
        return
    sessions.move(owners, 1)
    one = OpenEnvSession(services.episodes, caller, _Served(services.store))
    try:
        await _converse(websocket, one)
    finally:
        sessions.move(owners, -1)
        await one.close()
        _LOG.info("openenv_session", caller=caller.name, resets=one.resets, steps=one.steps)


async def _converse(websocket: WebSocket, one: OpenEnvSession) -> None:
    try:
        while True:
            message = await websocket.receive()
            if message["type"] != "websocket.receive":
                return
            text = message.get("text")
            if text is None:
                told: dict[str, Any] | None = error_frame("INVALID_JSON", "send text, not bytes")
            else:
                told = await _told(one, text)
            if told is None:
                break
            await websocket.send_text(json.dumps(told))
            if told["data"].get("code") == "SESSION_ERROR":
                break
        if websocket.application_state == WebSocketState.CONNECTED:
            await websocket.close()
    except WebSocketDisconnect:
        return


async def _told(one: OpenEnvSession, text: str) -> dict[str, Any] | None:
    try:
        return await one.answer(text)
    except Exception as exc:  # noqa: BLE001  the route boundary: whatever it is, it is told
        _LOG.error("unexpected", exc_info=exc)
        return error_frame("SESSION_ERROR", "internal error; the service's log has the details")


@router.get("/health", summary="OpenEnv: alive", include_in_schema=False)
async def health() -> JSONResponse:
    """Says that the service answers."""
    return JSONResponse({"status": "healthy"})


@router.get(
    "/metadata",
    summary="OpenEnv: what this is",
    dependencies=_KEYED,
    responses=documented(401, 403),
)
async def metadata() -> dict[str, str]:
    """OpenEnv: what this environment is."""
    return {"name": _NAME, "description": _DESCRIPTION, "version": version("greenfork")}


@router.get(
    "/schema", summary="OpenEnv: schemas", dependencies=_KEYED, responses=documented(401, 403)
)
async def schema() -> dict[str, Any]:
    """OpenEnv: the JSON schemas of actions, observations and the state."""
    return {
        "action": TrafficAction.model_json_schema(),
        "observation": Observation.model_json_schema(),
        "state": State.model_json_schema(),
    }


@router.get("/state", summary="OpenEnv: state", dependencies=_KEYED, responses=documented(401, 403))
async def state() -> State:
    """OpenEnv: the state of an environment that was not reset; episodes go over the WebSocket."""
    return State()
