"""Repeating recorded rollouts to show what happened in them.

The ledger keeps the result of a rollout, but not what happened on the way. For that, the rollout is
repeated by a fork, and shown only if its metrics equal those on record.
"""

import asyncio
from collections.abc import Mapping, Sequence

import structlog

from reward_server.observability.metrics import Telemetry
from reward_server.scoring.single_flight import RolloutRunner, SingleFlight
from reward_server.storage.ledger import is_at_odds
from shared.errors import InvalidRequest, RolloutError, TraceDiffers
from shared.rewards import RewardSpec
from shared.wire.viewing.traces import MAX_TRACED_S, MAX_TRACES, Trace
from sim_workers.engine.messages import Rollout
from sim_workers.pool.fair_queue import Flow

__all__ = ["Playback", "refuse_long_traces"]

_LOG = structlog.get_logger("reward_server")


def refuse_long_traces(rollouts: int, reward: RewardSpec) -> None:
    """Checks that one request may have this many rollouts traced.

    Raises:
        InvalidRequest: ``too_many_traces``; or the reward has seeds, so there is no single trace.
    """
    if reward.seeds is not None:
        raise InvalidRequest("trace: a reward with seeds has no single trace; leave the seeds out")
    seconds = rollouts * reward.horizon_s
    if rollouts > MAX_TRACES or seconds > MAX_TRACED_S:
        raise InvalidRequest(
            f"trace: {rollouts} rollouts of {reward.horizon_s} s exceed the limit of {MAX_TRACES} "
            f"rollouts and {MAX_TRACED_S} s together; ask for fewer at a time with POST /v1/score",
            "too_many_traces",
        )


class Playback:
    """Makes traces of rollouts.

    Args:
        runner: Computes them.
        single_flight: Knows what is on record.
        telemetry: Counts the rollouts.
    """

    def __init__(
        self, runner: RolloutRunner, single_flight: SingleFlight, telemetry: Telemetry
    ) -> None:
        self._runner = runner
        self._single_flight = single_flight
        self._telemetry = telemetry

    async def traces(
        self, rollouts: Mapping[str, Rollout], timeout_s: float, flow: Flow, request_id: str
    ) -> dict[str, Trace | RolloutError]:
        """The trace of each rollout, or why there is none. Cancelling the call ends the work.

        Args:
            rollouts: The rollouts, by the keys of their outcomes.
            timeout_s: Seconds after which unfinished rollouts fail.
            flow: The flow whose share of the workers is used.
            request_id: For the logs.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_s
        known = await self._single_flight.fetch(rollouts, deadline, flow, request_id)
        keys: Sequence[str] = list(rollouts)

        async def trace(key: str) -> Trace | RolloutError:
            try:
                recorded = known[key].unwrap()
                how = {"is_shown": True, "is_forked": True, "request_id": request_id}
                left = {"limit_s": max(0.0, deadline - loop.time())}
                outcome = await self._runner.run(rollouts[key].model_copy(update=how | left), flow)
                metrics = outcome.unwrap()
            except RolloutError as exc:
                return exc
            self._telemetry.observe_rollout(outcome)
            if is_at_odds(recorded, metrics) or outcome.shown is None:
                _LOG.error("trace_differs", key=key, state=rollouts[key].state_id)
                return TraceDiffers(
                    "when the rollout was repeated to trace it, its outcome differed from the one "
                    "on record; neither can be trusted: tell the service's operator"
                )
            return outcome.shown

        found = await asyncio.gather(*map(trace, keys))
        return dict(zip(keys, found, strict=True))
