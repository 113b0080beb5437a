"""Every legal decision at a signal, rolled out and ranked."""

import asyncio
import math
from bisect import bisect_right
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from reward_server.event_loop import TimeSlice
from reward_server.scoring.custom_metrics import CustomMetrics
from reward_server.scoring.rollout_plan import (
    RolloutPlan,
    check_kind,
    check_reward,
    check_signal,
    needs_delay,
    plan_rollouts,
)
from reward_server.scoring.single_flight import SingleFlight
from shared.decisions import Decision, Extend
from shared.errors import DeadlineExceeded, InvalidDecision, InvalidRequest
from shared.legality import check_legality, legal_decisions
from shared.wire.outcomes import OutcomesQuery, OutcomesResponse, RankedOutcome, ReferenceOutcome
from shared.wire.scoring import Counts, ScoreResult
from shared.wire.states import Simulator
from sim_workers.engine.messages import RolloutOutcome
from sim_workers.pool.fair_queue import Flow
from sim_workers.states.store import StateStore, StoredState

__all__ = ["Choice", "Explored", "OutcomeExplorer", "Standing", "standings"]


@dataclass(frozen=True)
class Standing:
    """The standing of a reward among others."""

    regret: float
    rank: int


@dataclass(frozen=True)
class Choice:
    """What can be decided: a signal in a state, and its legal decisions."""

    state: StoredState
    tls_id: str
    decisions: tuple[Decision, ...]
    """At least one."""


@dataclass(frozen=True)
class Explored:
    """The response, and the work that it took."""

    response: OutcomesResponse
    outcomes: Mapping[str, RolloutOutcome]
    """Outcomes of the rollouts, by key."""


def standings(rewards: Sequence[float]) -> list[Standing]:
    """The regret and the rank of each reward, in the order given.

    The regret is the distance to the best reward: 0 for the best, positive for all others. Equal
    rewards share a rank, and the next rank comes after all of them (1, 1, 3).

    >>> standings([0.5, 0.75, 0.5])
    [Standing(regret=0.25, rank=2), Standing(regret=0.0, rank=1), Standing(regret=0.25, rank=2)]
    """
    best = max(rewards, default=0.0)
    ascending = sorted(rewards)
    return [
        Standing(best - reward, 1 + len(rewards) - bisect_right(ascending, reward))
        for reward in rewards
    ]


class OutcomeExplorer:
    """Rolls out every possible decision.

    Args:
        store: The served states.
        single_flight: The source of outcomes.
        simulator: The program that computes them.
        metrics: Users' own metrics.
    """

    def __init__(
        self,
        store: StateStore,
        single_flight: SingleFlight,
        simulator: Simulator,
        metrics: CustomMetrics,
    ) -> None:
        self._store = store
        self._single_flight = single_flight
        self._simulator = simulator
        self._metrics = metrics

    def choice(self, state_id: str, query: OutcomesQuery) -> Choice:
        """The legal decisions at the signal of the query.

        Raises:
            UnknownState: No such state is served.
            UnknownSignal: The state has no such signal.
            InvalidRequest: ``tls_id_needed``: several signals can be decided; or the reward is not
                one of traffic, or made of a metric that no installed package adds.
            InvalidDecision: Nothing can be decided there; the code says why.
        """
        check_reward(query.spec())
        self._metrics.wanted(query.spec(), query.metrics)
        state = self._store.get(state_id)
        tls_id = query.tls_id if query.tls_id is not None else _only_signal(state, query)
        check_signal(state, tls_id)
        decisions = _legal(state, tls_id, query)
        if not decisions:
            signal, now = state.signal(tls_id), state.record.signals[tls_id]
            check_legality(Extend(extend=False), signal, now)  # which says why not
            raise InvalidDecision(
                f"signal {tls_id} has no legal decision of kind {query.kind}", "nothing_to_decide"
            )
        check_kind(decisions[0], state)
        return Choice(state, tls_id, decisions)

    async def explore(
        self, choice: Choice, query: OutcomesQuery, flow: Flow, request_id: str
    ) -> Explored:
        """The outcome of every decision, best first, and of the program left alone.

        Cancelling the call ends the work.

        Args:
            choice: What can be decided.
            query: The query.
            flow: The flow whose share of the workers is used.
            request_id: For the logs.

        Raises:
            DeadlineExceeded: No decision's outcome was ready in time.
        """
        deadline = asyncio.get_running_loop().time() + query.timeout_s
        reference, plans, time_slice = self._plan(choice, None, query), [], TimeSlice()
        for decision in choice.decisions:
            plans.append(self._plan(choice, decision, query))
            await time_slice.taken()
        rollouts = {key: one for plan in (*plans, reference) for key, one in plan.rollouts.items()}
        is_needed = needs_delay(query.spec(), query.metrics)
        found = await self._single_flight.fetch(rollouts, deadline, flow, request_id, is_needed)
        results = []
        for plan in plans:
            results.append(plan.result(found, with_series=False, names=query.metrics))
            await time_slice.taken()
        if all(one.error and one.error.code == DeadlineExceeded.code for one in results):
            raise DeadlineExceeded(f"no outcome was ready within timeout_s = {query.timeout_s:g}")
        outcomes = _ranked(choice.decisions, results)
        ways = {plan.restore for plan in plans}
        response = OutcomesResponse(
            state_id=choice.state.record.state_id,
            tls_id=choice.tls_id,
            kind=query.kind,
            reward=query.spec(),
            best=outcomes[0].decision if outcomes[0].status == "scored" else None,
            outcomes=outcomes,
            reference=_reference(reference, found, query.metrics),
            restore=next(way for way in ("unverified", "replay", "state") if way in ways),
            fidelity=reference.fidelity or "bundle",
            counts=Counts.of(outcomes, sum(one.is_started for one in found.values())),
            simulator=self._simulator,
        )
        return Explored(response, found)

    def _plan(self, choice: Choice, decision: Decision | None, query: OutcomesQuery) -> RolloutPlan:
        """The rollouts of a decision, or of the program left alone."""
        decisions, spec = {choice.tls_id: decision}, query.spec()
        custom = self._metrics.wanted(spec, query.metrics)
        return plan_rollouts(choice.state, decisions, spec, self._simulator.version, custom)


def _only_signal(state: StoredState, query: OutcomesQuery) -> str:
    known = sorted(state.record.signals.keys() & state.manifest.signals.keys())
    decidable = [tls_id for tls_id in known if _legal(state, tls_id, query)]
    if len(decidable) == 1:
        return decidable[0]
    if len(known) == 1:
        return known[0]
    if not decidable:
        raise InvalidDecision(
            f"no signal of state {state.record.state_id} has a legal decision of kind {query.kind}",
            "nothing_to_decide",
        )
    raise InvalidRequest(
        f"specify the signal with tls_id; these can be decided: {', '.join(decidable)}",
        "tls_id_needed",
    )


def _legal(state: StoredState, tls_id: str, query: OutcomesQuery) -> tuple[Decision, ...]:
    signal, now = state.signal(tls_id), state.record.signals[tls_id]
    return legal_decisions(query.kind, signal, now, query.extend_s)


def _ranked(
    decisions: Sequence[Decision], results: Sequence[ScoreResult]
) -> tuple[RankedOutcome, ...]:
    """Best first; equal ones in their original order; those without a reward last."""
    places = iter(standings([one.reward for one in results if one.reward is not None]))
    outcomes = []
    for decision, result in zip(decisions, results, strict=True):
        place = None if result.reward is None else next(places)
        outcomes.append(
            RankedOutcome(
                decision=decision,
                status="failed" if place is None else "scored",
                reward=result.reward,
                regret=place.regret if place else None,
                rank=place.rank if place else None,
                metrics=result.metrics,
                cached=result.cached,
                error=result.error,
            )
        )
    return tuple(sorted(outcomes, key=lambda outcome: outcome.rank or math.inf))


def _reference(
    plan: RolloutPlan,
    outcomes: Mapping[str, RolloutOutcome],
    names: Collection[str] | None,
) -> ReferenceOutcome:
    """The program left alone, with its metrics even if no reward can be computed from them."""
    result = plan.result(outcomes, with_series=False, names=names)
    metrics = outcomes[plan.pairs[0][0]].metrics
    return ReferenceOutcome(
        reward=result.reward,
        metrics=metrics.shown(names, with_series=False) if metrics else None,
        error=result.error,
    )
