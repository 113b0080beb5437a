"""Calls about episodes on workers that are made up: what is sent, and who gets which answer."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pytest

from shared.errors import EpisodeInterrupted, InvalidRequest
from shared.wire.episodes import EpisodeRequest, StepRequest
from sim_workers.episodes.position import Position
from sim_workers.episodes.record import EpisodeSpec
from sim_workers.pool.episodes.dispatch import EpisodeDispatch
from sim_workers.pool.episodes.messages import (
    EpisodeBatch,
    EpisodeCall,
    EpisodeOrigin,
    EpisodeReply,
    EpisodeVerb,
)
from sim_workers.pool.episodes.turns import EpisodeTurn
from sim_workers.pool.fair_queue import Flow, FlowQueue
from sim_workers.pool.workers import PoolWorker

SPEC = EpisodeSpec.of(EpisodeRequest(scenario_id="x", end_s=30), 1, 0.0, None)
AT = Position.at_begin(SPEC, "x")
FLOW = Flow("ann")


@dataclass
class FakeActor:
    """Holds the episodes whose origin it was sent."""

    held: set[str] = field(default_factory=set)
    batches: list[list[tuple[str, bool, bool]]] = field(default_factory=list)
    """Of each call of a batch: the episode, whether its origin came along, and whether files."""
    side_by_side: list[int] = field(default_factory=list)
    """Of each call, how many of its candidates may run at a time."""
    parked: list[str] = field(default_factory=list)
    error: Exception | None = None

    @property
    def run_episodes(self) -> Any:  # noqa: ANN401  as Ray's actors have it
        """The method, with ``remote``."""
        return self

    @property
    def park_episodes(self) -> Any:  # noqa: ANN401
        """The other one."""
        return _Parking(self.parked)

    async def remote(self, calls: Sequence[EpisodeCall]) -> EpisodeBatch:
        """Does calls."""
        await asyncio.sleep(0)
        has_files = [call.origin is not None and call.origin.scenario is not None for call in calls]
        told = zip(calls, has_files, strict=True)
        self.side_by_side += [call.at_once for call in calls]
        self.batches.append([(c.episode_id, c.origin is not None, files) for c, files in told])
        return EpisodeBatch(tuple(map(self._reply, calls)), live=len(self.held))

    def _reply(self, call: EpisodeCall) -> EpisodeReply:
        if self.error is not None:
            return EpisodeReply(call.at, error=self.error)  # type: ignore[arg-type]
        if call.origin is not None:
            self.held.add(call.episode_id)
        if call.episode_id not in self.held:
            return EpisodeReply(call.at, needs_origin=True)
        return EpisodeReply(call.at, answer=call.episode_id.encode())


@dataclass
class _Parking:
    parked: list[str]

    def remote(self, episode_ids: list[str]) -> None:
        self.parked += episode_ids


@dataclass
class Stage:
    """A dispatch over workers, which are given what waits for them."""

    workers: list[PoolWorker]
    queue: FlowQueue[Any] = field(default_factory=FlowQueue)

    def __post_init__(self) -> None:
        self.episodes = EpisodeDispatch(self.queue, self.workers, lambda: None)

    async def ask(self, *names: str, verb: EpisodeVerb = "step") -> list[EpisodeReply]:
        """What becomes of a step of each episode, or of another call."""
        tasks = [asyncio.create_task(self._run(name, verb)) for name in names]
        await asyncio.sleep(0)
        while len(self.queue):
            for worker in self.workers:
                taken = self.queue.take(8, partial(self._fits, worker))
                if taken is not None:
                    await self.episodes.send(worker, taken[1])
        return await asyncio.gather(*tasks)

    def _fits(self, worker: PoolWorker, key: str) -> bool:
        return self.episodes.fits([worker.number], key)

    async def _run(self, name: str, verb: EpisodeVerb = "step") -> EpisodeReply:
        call = EpisodeCall(name, "x", verb, AT, StepRequest(step=0))

        async def source(with_scenario: bool) -> EpisodeOrigin:
            return EpisodeOrigin(SPEC, (), "x", {} if with_scenario else None)

        return await self.episodes.run(call, source, FLOW, 10)


@pytest.fixture
def stage() -> Stage:
    """Two workers."""
    return Stage([PoolWorker(FakeActor(), number) for number in (1, 2)])


def actor(stage: Stage, number: int) -> FakeActor:
    """One of them."""
    found: FakeActor = stage.workers[number - 1].actor
    return found


async def test_steps_of_several_episodes_are_one_call(stage: Stage) -> None:
    """On each worker; the record goes along the first time only, the scenario's files once."""
    names = [f"e{number}" for number in range(8)]
    replies = await stage.ask(*names)
    assert [reply.answer.decode() for reply in replies] == names
    await stage.ask(*names)
    for number in (1, 2):
        first, second = actor(stage, number).batches
        assert [had for _, had, _ in first] == [True] * 4
        assert [files for _, _, files in first] == [True, False, False, False]
        assert [had for _, had, _ in second] == [False] * 4
    assert stage.episodes.stats().live == 8


async def test_a_worker_that_lacks_a_process_is_sent_the_record(stage: Stage) -> None:
    """Whatever was believed of it."""
    await stage.ask("e")
    actor(stage, 1).held.clear()
    (reply,) = await stage.ask("e")
    assert reply.answer == b"e"
    assert [batch[0][1] for batch in actor(stage, 1).batches] == [True, False, True]


async def test_parked_episodes_are_let_go(stage: Stage) -> None:
    """At the worker that has them; the next step takes the record along."""
    await stage.ask("a", "b")
    stage.episodes.park(["a", "b", "unknown"])
    assert sorted(actor(stage, 1).parked + actor(stage, 2).parked) == ["a", "b"]
    assert not stage.episodes.is_live("a")
    await stage.ask("a")
    assert [batch[0][1] for batch in actor(stage, 1).batches] == [True, True]


async def test_errors_reach_whoever_asked(stage: Stage) -> None:
    """As they are."""
    actor(stage, 1).error = InvalidRequest("no such signal", "unknown_signal")
    with pytest.raises(InvalidRequest, match="no such signal"):
        await stage.ask("e")


async def test_a_call_is_given_up_after_three_workers(stage: Stage) -> None:
    """Before that it waits for another one."""
    done: asyncio.Future[EpisodeReply] = asyncio.get_running_loop().create_future()
    call = EpisodeCall("e", "x", "step", AT)
    turn = EpisodeTurn(call, stage._run, FLOW, 1.0, done)  # type: ignore[arg-type]
    assert [stage.episodes.retry(turn) for _ in range(3)] == [True, True, False]
    with pytest.raises(EpisodeInterrupted):
        await done


async def test_calls_for_a_lost_worker_wait_for_another(stage: Stage) -> None:
    """They are sent with their records."""
    await stage.ask("a", "b")
    lost = stage.workers.pop(0)
    stage.episodes.lose(lost)
    replies = await stage.ask("a", "b")
    assert [reply.answer for reply in replies] == [b"a", b"b"]
    assert len(actor(Stage([lost]), 1).batches) == 1


async def test_a_new_worker_takes_its_share_of_what_is_to_be_replayed() -> None:
    """Calls that wait where a dead worker left them; an episode with a process stays."""
    stage = Stage([PoolWorker(FakeActor(), 1)])
    await stage.ask("live")
    names = ["live", *(f"e{number}" for number in range(5))]
    tasks = [asyncio.create_task(stage._run(name)) for name in names]
    await asyncio.sleep(0)
    stage.workers.append(PoolWorker(FakeActor(), 2))
    stage.episodes.welcome()
    await stage.ask()
    assert [reply.answer.decode() for reply in await asyncio.gather(*tasks)] == names
    assert [len(actor(stage, number).held) for number in (1, 2)] == [3, 3]
    assert actor(stage, 1).batches[-1][0][:2] == ("live", False)


async def test_candidates_use_the_cpus_of_idle_workers(stage: Stage) -> None:
    """Beside that of the worker that has the episode; steps need one."""
    await stage.ask("e")
    first, second = stage.workers
    for others, at_once in (((), 2), (("other",), 1)):
        first.batch, second.batch = ("this",), others
        await stage.ask("e", verb="score")
        assert actor(stage, 1).side_by_side[-1] == at_once
    assert actor(stage, 1).side_by_side[0] == 1


def test_position_tells_decisions_apart() -> None:
    """And the begin, and the order."""
    steps = [StepRequest(step=0), StepRequest(step=1)]
    texts = [one.model_dump_json().encode() for one in steps]
    assert AT.after_all(texts).steps == 2
    assert AT.after_all(texts) != AT.after_all(texts[::-1])
    other = replace_seed(SPEC)
    assert Position.at_begin(other, "x") != AT != Position.at_begin(SPEC, "y")


def replace_seed(spec: EpisodeSpec) -> EpisodeSpec:
    """The same under another seed."""
    return spec.model_copy(update={"seed": 2})
