"""Simulations, and the processes that fork them, faked for a worker."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from shared.dataset import Action
from shared.rewards import Metrics
from sim_workers.engine.messages import (
    Look,
    Open,
    Ready,
    Replay,
    Rollout,
    RolloutOutcome,
    Seen,
    Source,
)
from sim_workers.pool.rollout import StateFiles
from sim_workers.pool.worker import StateWorker

__all__ = [
    "CONFIG",
    "DIGEST",
    "FILES",
    "LANDMARK",
    "OF_A_FILE",
    "REPLAYED",
    "ForkServer",
    "SimulationServer",
    "World",
    "first",
    "metrics",
    "results",
    "rollout",
    "run",
]


CONFIG = b'<configuration><net-file value="n"/></configuration>'


FILES = {"scenario.sumocfg": CONFIG}


OF_A_FILE = StateFiles("town", FILES, "run", 1, 1.0, state=b"<snapshot/>", read={})


DIGEST = "0123456789abcdef"


REPLAYED = StateFiles("town", FILES, "run", 1, 1.0, replay=Replay(to_s=50), digest=DIGEST, read={})


LANDMARK = Replay(to_s=60, actions=(Action(time_s=5, tls_id="c", remaining_s=1),))


@dataclass
class World:
    """What happened to the holders, and what they should do."""

    opened: list[str] = field(default_factory=list)
    configs: list[str] = field(default_factory=list)
    """With which they were opened."""
    living: list[str] = field(default_factory=list)
    memory_mb: dict[str, float] = field(default_factory=dict)
    answers: list[Exception | None] = field(default_factory=list)
    """For each of the next rollouts: what it raises, or None."""
    are_last: list[bool] = field(default_factory=list)
    """Of each rollout, whether no child need be kept ready after it."""
    when_sent: Callable[[int], None] | None = None
    """Told the ticket of each rollout that a holder gets."""
    while_running: Callable[[int], None] | None = None
    """Told the ticket of each rollout while its answer is waited for."""
    cancelled: list[int] = field(default_factory=list)
    """Tickets that holders were told to end."""
    digest: str = "0123456789abcdef"
    """Of where everything is in every simulation."""
    replays: list[Replay] = field(default_factory=list)
    """Those of the checkpoint cache."""


class SimulationServer:
    """A simulation, and the process that holds it."""

    def __init__(self, world: World, name: str) -> None:
        self._world, self._name = world, name

    def send(self, request: Rollout) -> None:
        """Takes a rollout."""
        self._request = request
        self._world.are_last.append(request.is_last)
        if self._world.when_sent:
            self._world.when_sent(request.ticket)

    def cancel(self, ticket: int) -> None:
        """Notes the ticket."""
        self._world.cancelled.append(ticket)

    def receive(self, reply: type[RolloutOutcome], limit_s: float) -> RolloutOutcome:
        """Answers the rollout, or fails as the world says."""
        if self._world.while_running:
            self._world.while_running(self._request.ticket)
        error = self._world.answers.pop(0) if self._world.answers else None
        if error is not None:
            raise error
        assert limit_s > self._request.limit_s
        return RolloutOutcome(metrics=metrics(self._request.horizon_s))

    def call(self, request: Look | Replay, reply: type[Any], limit_s: float) -> Seen | Ready:
        """Observes, or replays to a time."""
        assert limit_s > 0
        if isinstance(request, Look):
            return Seen(digest=self._world.digest)
        self._world.replays.append(request)
        return Ready(time_s=request.to_s)

    def spawn(self, limit_s: float) -> "SimulationServer":
        """A fork of this simulation."""
        self._world.living.append("fork")
        return SimulationServer(self._world, "fork")

    def time_s(self, limit_s: float) -> float:
        """Where its run begins."""
        self.call(Replay(to_s=0), Ready, limit_s)
        return 0

    def own_memory_mb(self) -> float:
        """As the world says."""
        return self._world.memory_mb.get(self._name, 1)

    def close(self) -> None:
        """It lives no longer."""
        self._world.living.remove(self._name)

    kill = close


class ForkServer:
    """Begins runs under the name ``begin``, and continues states under that of their folder."""

    world = World()

    def __init__(self, max_memory_bytes: int, with_metrics: bool) -> None:
        assert with_metrics, "rollouts may name users' own metrics"
        assert max_memory_bytes == 4 << 30, "the least, where holders may take less together"

    def open(self, request: Open, limit_s: float) -> SimulationServer:
        """A simulation of a file or a run."""
        assert limit_s > 0
        assert Path(request.config).exists()
        name = "begin"
        if request.state_file is not None:
            assert Path(request.state_file).exists()
            name = Path(request.state_file).parent.name.removesuffix(".state")
        self.world.configs.append(Path(request.config).name)
        self.world.opened.append(name)
        self.world.living.append(name)
        return SimulationServer(self.world, name)

    def close(self) -> None:
        """It lives no longer."""
        self.world.living.clear()


def metrics(queue: float) -> Metrics:
    """Metrics with this mean queue."""
    return Metrics(
        queue_veh=queue,
        queue_veh_max=queue,
        wait_s=0,
        throughput_veh=0,
        pressure_veh=0,
        network_queue_veh=0,
    )


def rollout(
    name: str, horizon_s: int = 10, limit_s: float = 100, ticket: int = 0, source: Source = "file"
) -> Rollout:
    """A rollout of one signal."""
    return Rollout(
        state_id=name,
        source=source,
        signal_decisions=(),
        observe=("c",),
        horizon_s=horizon_s,
        limit_s=limit_s,
        ticket=ticket,
    )


def run(worker: StateWorker, *rollouts: Rollout) -> list[Metrics | str]:
    """What became of some rollouts of a state from its file."""
    return results(worker.run(rollouts, OF_A_FILE))


def results(outcomes: Sequence[RolloutOutcome] | None) -> list[Metrics | str]:
    """The metrics of each, or the error's code."""
    assert outcomes is not None
    return [one.error.code if one.error else one.unwrap() for one in outcomes]


def first(worker: StateWorker, rollout: Rollout, files: StateFiles) -> RolloutOutcome:
    """What became of one rollout."""
    outcomes = worker.run([rollout], files)
    assert outcomes is not None
    return outcomes[0]
