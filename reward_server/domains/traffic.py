"""Traffic: decisions at signals, rolled out from saved states."""

from collections.abc import Mapping

from reward_server.domains.base import Computed, Terms
from reward_server.event_loop import TimeSlice
from reward_server.scoring.custom_metrics import CustomMetrics
from reward_server.scoring.new_states import NewStates
from reward_server.scoring.response_cache import Answer, AnswerKey
from reward_server.scoring.rollout_plan import (
    check_reward,
    check_signal,
    needs_delay,
    plan_item,
)
from reward_server.scoring.single_flight import SingleFlight
from shared.wire.jobs import JobSpec
from shared.wire.scoring import Item, ScoreItem
from shared.wire.states import Simulator
from sim_workers.states.store import StateStore

__all__ = ["TrafficDomain"]


class TrafficDomain:
    """Scores decisions at signals.

    Args:
        store: The served states.
        new_states: Adds states to the store that were uploaded elsewhere.
        single_flight: The source of outcomes.
        simulator: The program that computes them.
        metrics: Users' own metrics.
    """

    def __init__(
        self,
        store: StateStore,
        new_states: NewStates,
        single_flight: SingleFlight,
        simulator: Simulator,
        metrics: CustomMetrics,
    ) -> None:
        self._store = store
        self._new_states = new_states
        self._single_flight = single_flight
        self._simulator = simulator
        self._metrics = metrics

    async def compute(self, items: Mapping[AnswerKey, Item], terms: Terms) -> Computed:
        """The answers to items; see :class:`reward_server.domains.base.Domain`."""
        request = terms.request
        check_reward(request.reward)
        custom = self._metrics.wanted(request.reward, request.metrics)
        named = {key: item for key, item in items.items() if isinstance(item, ScoreItem)}
        await self._new_states.meet(item.state_id for item in named.values())
        plans, time_slice, version = [], TimeSlice(), self._simulator.version
        for item in named.values():
            plans.append(plan_item(item, request.reward, self._store, version, custom))
            await time_slice.taken()
        rollouts = {key: rollout for plan in plans for key, rollout in plan.rollouts.items()}
        is_needed = needs_delay(request.reward, request.metrics)
        outcomes = await self._single_flight.fetch(
            rollouts, terms.deadline, terms.flow, terms.request_id, is_needed
        )
        answers: dict[AnswerKey, Answer] = {}
        for key, plan in zip(named, plans, strict=True):
            answers[key] = Answer.of(plan.result(outcomes, request.series, request.metrics))
            await time_slice.taken()
        return answers, outcomes

    def check(self, item: Item, spec: JobSpec) -> None:
        """Checks that an item names a served state and signals of it.

        Raises:
            UnknownState: No such state is served.
            UnknownSignal: The state has no such signal.
            InvalidRequest: The reward belongs to another domain, or it or the metrics name one that
                no installed package adds.
        """
        check_reward(spec.reward)
        self._metrics.wanted(spec.reward, spec.metrics)
        assert isinstance(item, ScoreItem), "an item of traffic"  # noqa: S101
        if not self._store.knows(item.state_id):
            self._store.look_again()
        state = self._store.get(item.state_id)
        for tls_id in item.tls_ids():
            check_signal(state, tls_id)
