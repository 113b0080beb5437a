"""``GET /v1/states/{state_id}/prompt``: the prompt for a model in a state."""

import asyncio
from typing import Annotated

from fastapi import APIRouter, Query

from reward_server.auth.middleware import requires
from reward_server.http.problems import documented
from reward_server.http.routes.states import StateIdPath
from reward_server.scoring.rollout_plan import check_signal
from reward_server.services import ServicesDep
from shared.dataset import Row
from shared.errors import DatasetError, UnknownSignal
from shared.wire.viewing.prompts import PromptMessage, PromptView
from sim_workers.states.store import StoredState

__all__ = ["router"]

router = APIRouter(tags=["states"], dependencies=[requires("score", "upload", "read")])


@router.get(
    "/v1/states/{state_id}/prompt",
    summary="Show a prompt",
    response_description="The prompt in the dataset's row.",
    responses=documented(401, 403, 404, 422),
)
async def prompt(
    services: ServicesDep,
    state_id: StateIdPath,
    tls_id: Annotated[str, Query(max_length=200, description="The signal to decide for.")],
) -> PromptView:
    """Returns the prompt that the dataset has for a signal in a state.

    A prompt counts the vehicles that have passed, which no state file contains. So an uploaded
    state has no prompt, and neither has a signal for which the dataset has no row.
    """
    await services.new_states.meet([state_id])
    state = services.store.get(state_id)
    check_signal(state, tls_id)
    row = await asyncio.to_thread(_row_of, state, tls_id)
    if row is None:
        raise UnknownSignal(
            f"no dataset has a row for signal {tls_id} in state {state_id}, so there is no "
            "prompt; all other routes accept the state",
            "no_prompt",
        )
    messages = tuple(PromptMessage(role=m.role, content=m.content) for m in row.prompt)
    return PromptView(
        state_id=state_id, tls_id=tls_id, decision_kind=row.decision_kind, prompt=messages
    )


def _row_of(state: StoredState, tls_id: str) -> Row | None:
    """The row of a signal in a state, read from the dataset's file.

    Raises:
        DatasetError: The file cannot be read.
    """
    named = state.record.state_id.encode()
    for path in (state.layout.rows("train"), state.layout.rows("eval")):
        if not path.is_file():
            continue
        try:
            with path.open("rb") as lines:
                for line in lines:
                    if named in line:
                        row = Row.model_validate_json(line)
                        if (row.state_id, row.tls_id) == (state.record.state_id, tls_id):
                            return row
        except (OSError, ValueError) as exc:
            raise DatasetError(f"cannot read the rows of {path.name}: {exc}") from exc
    return None
