"""``POST /v1/score``."""

from time import perf_counter
from typing import Annotated

from fastapi import APIRouter, Body, Request

from reward_server.problems import documented
from reward_server.requests import notes_of
from reward_server.routes.examples import SCORE_REQUESTS
from reward_server.services import Authorized, ServicesDep
from shared.errors import InvalidRequest
from shared.scoring import ScoreRequest, ScoreResponse

__all__ = ["router"]

router = APIRouter(tags=["scoring"], dependencies=[Authorized])


@router.post(
    "/v1/score",
    summary="Score decisions",
    response_description="One result an item, in the order of the items.",
    responses=documented(400, 401, 404, 413, 422, 503, 504),
)
async def score(
    request: Request,
    body: Annotated[ScoreRequest, Body(openapi_examples=SCORE_REQUESTS)],
    services: ServicesDep,
) -> ScoreResponse:
    """Rolls every decision out from its state and says how good it was.

    Sending the same again is harmless and cheap: outcomes are kept, and equal work is done once.
    An item that could not be scored is `failed` with `reward: null` and never a number; one whose
    decision breaks a rule is `invalid` with the `invalid_reward`.
    """
    load = _load(body, services.settings.max_items)
    fields = notes_of(request).fields
    fields.update(items=len(body.items), reward=body.reward.name, horizon_s=body.reward.horizon_s)
    begin_s = perf_counter()
    with services.admission.admitted(load):
        scored = await services.scorer.score(body)
    services.telemetry.count_items(scored.response.results, scored.fetched)
    fields.update(
        scored.response.counts.model_dump(),
        ledger_hits=scored.fetched.ledger_hits,
        joins=scored.fetched.joins,
        scoring_s=round(perf_counter() - begin_s, 4),
    )
    return scored.response


def _load(body: ScoreRequest, limit: int) -> int:
    """How many items the request counts for: each once a seed.

    Raises:
        InvalidRequest: ``too_many_items``.
    """
    seeds = len(body.reward.seeds or (None,))
    load = len(body.items) * seeds
    if load > limit:
        times = f" times {seeds} seeds" if seeds > 1 else ""
        raise InvalidRequest(
            f"items: {len(body.items)}{times} are more than the {limit} that one request may hold",
            "too_many_items",
        )
    return load
