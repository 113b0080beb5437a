"""A worker's processes of episodes: used where they are right, replaced where not, bounded."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest

from shared.errors import EpisodeConflict, HolderLost, RolloutRejected
from shared.wire.episodes import (
    EpisodeFigures,
    EpisodeRequest,
    SignalObservation,
    StepAnswer,
    StepRequest,
)
from sim_workers.engine.fork_client import ForkServer
from sim_workers.engine.messages import Open
from sim_workers.episodes.figures import Outputs
from sim_workers.episodes.position import Position
from sim_workers.episodes.progress import FinishedEpisode
from sim_workers.episodes.record import EpisodeRecord, EpisodeSpec
from sim_workers.pool.episodes import host as host_module
from sim_workers.pool.episodes.host import EpisodeHost, EpisodeLimits
from sim_workers.pool.episodes.messages import EpisodeCall, EpisodeOrigin, EpisodeReply

SPEC = EpisodeSpec.of(EpisodeRequest(scenario_id="x", end_s=30), 1, 0.0, None)
BEGIN = Position.at_begin(SPEC, "x")
FILES = {"scenario.sumocfg": b"<configuration/>"}
FIGURES = EpisodeFigures(
    vehicles=0,
    delay_s=None,
    travel_time_s=None,
    travel_time_all_s=None,
    wait_s=None,
    queue_veh=None,
    throughput_veh=0,
    backlog_veh=0,
    teleports=0,
    collisions=0,
    emergency_stops=0,
    switches=0,
    gridlocked=False,
)


class FakeEpisode:
    """Counts its steps; may die or be refused at the next one."""

    made: ClassVar[list["FakeEpisode"]] = []
    fails: ClassVar[list[Exception]] = []

    def __init__(self, record: EpisodeRecord, episode_id: str) -> None:
        self.episode_id = episode_id
        self.requests = list(record.steps)
        self.is_ended = False
        self.memory_mb = 10.0
        self.trials = SimpleNamespace()
        FakeEpisode.made.append(self)

    @classmethod
    def replay(
        cls,
        fork_server: ForkServer,
        opening: Open,
        record: EpisodeRecord,
        episode_id: str,
        *_: Any,  # noqa: ANN401
    ) -> "FakeEpisode":
        """One at the position of the record."""
        return cls(record, episode_id)

    @property
    def record(self) -> EpisodeRecord:
        """What it is so far."""
        return EpisodeRecord(spec=SPEC, steps=tuple(self.requests))

    @property
    def steps(self) -> int:
        """Steps that are done."""
        return len(self.requests)

    @property
    def is_over(self) -> bool:
        """After three."""
        return self.steps == 3

    @property
    def seen(self) -> Any:  # noqa: ANN401
        """What the engine said last."""
        return self

    actions = ()

    @property
    def answer(self) -> StepAnswer:
        """The last answer."""
        signal = SignalObservation(current_phase=0, elapsed_green_s=0, legal=())
        return StepAnswer(
            episode_id=self.episode_id, step=self.steps, time_s=0, signals={"c": signal}
        )

    def step(self, request: StepRequest) -> None:
        """Notes it."""
        if FakeEpisode.fails:
            raise FakeEpisode.fails.pop()
        self.requests.append(request)

    def fork(self, episode_id: str) -> "FakeEpisode":
        """Another one at the same moment."""
        return FakeEpisode(self.record, episode_id)

    def finish(self) -> FinishedEpisode:
        """What is left of it."""
        return FinishedEpisode(FIGURES, Outputs(b"trips", b"", b""), (), self.record)

    def kill(self) -> None:
        """Ends it."""
        self.is_ended = True


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> EpisodeHost:
    """With room for two."""
    monkeypatch.setattr(host_module, "Episode", FakeEpisode)
    monkeypatch.setattr(FakeEpisode, "made", [])
    monkeypatch.setattr(FakeEpisode, "fails", [])
    return EpisodeHost(ForkServer(), EpisodeLimits(max_live=2, max_memory_mb=1000), tmp_path)


def step_of(number: int) -> StepRequest:
    """A step."""
    return StepRequest(step=number)


def at(steps: int) -> Position:
    """Where an episode is after so many steps."""
    return BEGIN.after_all(step_of(n).model_dump_json().encode() for n in range(steps))


def call_of(name: str, number: int, with_origin: bool = False) -> EpisodeCall:
    """A step, and what it is replayed from if need be."""
    steps = tuple(map(step_of, range(number)))
    origin = EpisodeOrigin(SPEC, steps, "x", FILES) if with_origin else None
    return EpisodeCall(name, "x", "step", at(number), step_of(number), origin=origin)


def one(host: EpisodeHost, call: EpisodeCall) -> EpisodeReply:
    """What becomes of a call."""
    (reply,) = host.run([call]).replies
    return reply


def test_a_process_is_used_where_the_record_is(host: EpisodeHost) -> None:
    """It is opened once, and its position follows the record's."""
    assert one(host, call_of("a", 0)).needs_origin
    first = one(host, call_of("a", 0, with_origin=True))
    second = one(host, call_of("a", 1))
    assert (first.at, first.is_opened, second.at, second.is_opened) == (at(1), True, at(2), False)
    assert len(FakeEpisode.made) == 1


def test_an_answer_that_was_lost_is_given_again(host: EpisodeHost) -> None:
    """The same step is not done twice; another one at its place makes the process useless."""
    one(host, call_of("a", 0, with_origin=True))
    assert one(host, call_of("a", 0)).at == at(1)
    assert FakeEpisode.made[0].steps == 1
    other = EpisodeCall("a", "x", "step", BEGIN, StepRequest(step=0, completions={"c": "x"}))
    assert one(host, other).needs_origin
    assert FakeEpisode.made[0].is_ended


def test_a_process_that_is_elsewhere_is_replaced(host: EpisodeHost) -> None:
    """By a replay of the record up to where that is."""
    one(host, call_of("a", 0, with_origin=True))
    reply = one(host, call_of("a", 2, with_origin=True))
    assert (reply.replayed, reply.at, reply.end is None) == (2, at(3), False)
    assert [episode.is_ended for episode in FakeEpisode.made] == [True, False]


def test_a_process_that_dies_is_replaced_once(host: EpisodeHost) -> None:
    """Where the record is at hand; otherwise it is asked for."""
    one(host, call_of("a", 0, with_origin=True))
    FakeEpisode.fails.append(HolderLost("gone"))
    assert one(host, call_of("a", 1)).needs_origin
    FakeEpisode.fails.append(HolderLost("gone"))
    assert one(host, call_of("a", 1, with_origin=True)).at == at(2)
    FakeEpisode.fails += [HolderLost("gone"), HolderLost("gone")]
    assert isinstance(one(host, call_of("a", 2, with_origin=True)).error, HolderLost)


def test_the_least_recently_used_make_room(host: EpisodeHost) -> None:
    """By number, and by memory; whoever is let go is named."""
    for name in "ab":
        one(host, call_of(name, 0, with_origin=True))
    one(host, call_of("a", 1))
    batch = host.run([call_of("c", 0, with_origin=True)])
    assert (batch.parked, batch.live) == (("b",), 2)
    FakeEpisode.made[0].memory_mb = 5000
    host.park(["c"])
    fork = EpisodeCall("a", "x", "fork", at(2), fork_id="d")
    assert host.run([fork]).live == 2


def test_a_finished_episode_leaves_figures_and_trips(host: EpisodeHost) -> None:
    """And no process."""
    batch = host.run([call_of("a", 2, with_origin=True)])
    (reply,) = batch.replies
    assert reply.end is not None
    assert (reply.end.tripinfo, batch.live) == (b"trips", 0)


def test_what_sumo_refuses_leaves_no_process(host: EpisodeHost) -> None:
    """Nobody knows where it is then; what the caller did wrong leaves it alone."""
    one(host, call_of("a", 0, with_origin=True))
    FakeEpisode.fails.append(EpisodeConflict("over", "episode_over"))
    assert isinstance(one(host, call_of("a", 1)).error, EpisodeConflict)
    assert one(host, call_of("a", 1)).at == at(2)
    FakeEpisode.fails.append(RolloutRejected("no", "program_switched"))
    refused = one(host, call_of("a", 2)).error
    assert isinstance(refused, RolloutRejected)
    assert one(host, call_of("a", 2)).needs_origin
