"""Every legal decision at a signal, rolled out and ranked."""

import asyncio
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from reward_server.event_loop import TimeSlice
from reward_server.scoring.candidates import check_signal
from reward_server.scoring.rewards import ComputedReward, compute_reward
from reward_server.scoring.rollout_plan import RolloutPlan, plan_rollouts, reference_of
from reward_server.scoring.single_flight import Fetched, SingleFlight
from reward_server.scoring.single_flight import RolloutOutcome as FetchedOutcome
from shared.decisions import Decision, Extend
from shared.errors import (
    DeadlineExceeded,
    ErrorInfo,
    GreenforkError,
    InvalidDecision,
    InvalidRequest,
)
from shared.legality import check_legality, legal_decisions
from shared.wire.outcomes import OutcomesQuery, OutcomesResponse, RankedOutcome, ReferenceOutcome
from shared.wire.scoring import Counts
from shared.wire.states import Restore, Simulator
from sim_workers.pool.fair_queue import Purpose
from sim_workers.pool.rollouts import RolloutTask
from sim_workers.pool.sources import fidelity_of, restore_of
from sim_workers.states.store import StateStore, StoredState

__all__ = ["Choice", "Explored", "OutcomeExplorer", "Standing", "standings"]


@dataclass(frozen=True)
class Standing:
    """Where one reward stands among others."""

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
    """The response, and what it took."""

    response: OutcomesResponse
    fetched: Fetched


def standings(rewards: Sequence[float]) -> list[Standing]:
    """How far behind the best each reward is, and its rank, in the order given.

    The regret is 0 or more, and 0 exactly of the best. Equal rewards share a rank, and the next one
    follows after all of them (1, 1, 3).

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
    """Rolls out what could be decided.

    Args:
        store: The states that are served.
        single_flight: Where outcomes come from.
        simulator: The program that computes them.
    """

    def __init__(
        self, store: StateStore, single_flight: SingleFlight, simulator: Simulator
    ) -> None:
        self._store = store
        self._single_flight = single_flight
        self._simulator = simulator

    def choice(self, state_id: str, query: OutcomesQuery) -> Choice:
        """The legal decisions at the signal that is asked about.

        Raises:
            UnknownState: No such state is served.
            UnknownSignal: The state has no such signal.
            InvalidRequest: ``tls_id_needed``: several signals can be decided.
            InvalidDecision: Nothing can be decided there; the code says why.
        """
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
        return Choice(state, tls_id, decisions)

    async def explore(self, choice: Choice, query: OutcomesQuery, purpose: Purpose) -> Explored:
        """The outcome of every decision, the best first, and of the program left alone.

        Cancelling the call ends the work.

        Raises:
            DeadlineExceeded: Not one decision's outcome was there in time.
        """
        deadline = asyncio.get_running_loop().time() + query.timeout_s
        works, time_slice = [], TimeSlice()
        for decision in choice.decisions:
            works.append(self._work(choice, decision, query))
            await time_slice.taken()
        reference = self._work(choice, None, query)
        tasks = {key: task for work in (*works, reference) for key, task in work.tasks().items()}
        fetched = await self._single_flight.fetch(tasks, deadline, purpose)
        rewards, spec = [], query.spec()
        for work in works:
            rewards.append(compute_reward(work, spec, fetched.outcomes))
            await time_slice.taken()
        _refuse_if_all_late(rewards, query.timeout_s)
        outcomes = _ranked(choice.decisions, rewards)
        response = OutcomesResponse(
            state_id=choice.state.record.state_id,
            tls_id=choice.tls_id,
            kind=query.kind,
            reward=query.spec(),
            best=outcomes[0].decision if outcomes[0].status == "scored" else None,
            outcomes=outcomes,
            reference=_reference(reference, query, fetched.outcomes),
            restore=self._restore(choice, query),
            fidelity=fidelity_of(choice.state, _task(choice, None, query)),
            counts=Counts.of(outcomes, fetched.rollouts),
            simulator=self._simulator,
        )
        return Explored(response, fetched)

    def _work(self, choice: Choice, decision: Decision | None, query: OutcomesQuery) -> RolloutPlan:
        """The rollouts of a decision, or of the program left alone."""
        task = _task(choice, decision, query)
        return plan_rollouts(task, choice.state, query.spec(), self._simulator.version)

    def _restore(self, choice: Choice, query: OutcomesQuery) -> Restore:
        """The way back that all outcomes share, or the longest of them."""
        ways = {restore_of(choice.state, _task(choice, d, query)) for d in choice.decisions}
        return next(way for way in ("unverified", "replay", "state") if way in ways)


def _task(choice: Choice, decision: Decision | None, query: OutcomesQuery) -> RolloutTask:
    task = RolloutTask(
        state_id=choice.state.record.state_id,
        observe=(choice.tls_id,),
        decisions=() if decision is None else ((choice.tls_id, decision),),
        horizon_s=query.horizon_s,
        follow_up=query.follow_up,
    )
    return reference_of(task) if decision is None else task


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
    decisions: Sequence[Decision], rewards: Sequence[ComputedReward | GreenforkError]
) -> tuple[RankedOutcome, ...]:
    pairs = list(zip(decisions, rewards, strict=True))
    scored = [(d, a) for d, a in pairs if isinstance(a, ComputedReward)]
    places = standings([computed.reward for _, computed in scored])
    outcomes = [
        _scored(decision, computed, place)
        for (decision, computed), place in zip(scored, places, strict=True)
    ]
    failed = [_failed(d, a) for d, a in pairs if not isinstance(a, ComputedReward)]
    return (*sorted(outcomes, key=lambda outcome: outcome.rank or 0), *failed)


def _scored(decision: Decision, computed: ComputedReward, place: Standing) -> RankedOutcome:
    return RankedOutcome(
        decision=decision,
        status="scored",
        reward=computed.reward,
        regret=place.regret,
        rank=place.rank,
        metrics=computed.shown_metrics(with_series=False),
        cached=computed.is_cached,
    )


def _failed(decision: Decision, error: GreenforkError) -> RankedOutcome:
    return RankedOutcome(
        decision=decision,
        status="failed",
        reward=None,
        regret=None,
        rank=None,
        error=ErrorInfo.of(error),
    )


def _reference(
    work: RolloutPlan, query: OutcomesQuery, outcomes: Mapping[str, FetchedOutcome]
) -> ReferenceOutcome:
    """The program left alone; its metrics even where no reward can be made of them."""
    computed = compute_reward(work, query.spec(), outcomes)
    if isinstance(computed, ComputedReward):
        return ReferenceOutcome(
            reward=computed.reward, metrics=computed.shown_metrics(with_series=False)
        )
    metrics = outcomes[work.seeds[0].own.key].metrics
    shown = metrics.model_copy(update={"series": None}) if metrics else None
    return ReferenceOutcome(reward=None, metrics=shown, error=ErrorInfo.of(computed))


def _refuse_if_all_late(
    rewards: Sequence[ComputedReward | GreenforkError], timeout_s: float
) -> None:
    if all(isinstance(computed, DeadlineExceeded) for computed in rewards):
        raise DeadlineExceeded(f"no outcome was ready within timeout_s = {timeout_s:g}")
