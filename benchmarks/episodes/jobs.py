"""An episode that was driven once, and what another way of driving it is told and answers."""

import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from shared.model import WireModel
from shared.wire.episodes import (
    PRESETS,
    ControlAction,
    EpisodeDecision,
    EpisodeRequest,
    StepRequest,
)
from sim_workers.engine.fork_client import ForkServer
from sim_workers.engine.messages import Open
from sim_workers.episodes.episode import Episode
from sim_workers.episodes.record import EpisodeSpec
from sim_workers.scenarios.resco import locate_scenario
from sim_workers.scenarios.scenario import Scenario, load_scenario

__all__ = ["Decide", "Job", "Loop", "Stage", "job_of", "on_stage", "resco_scenario", "run_module"]

Decide = Callable[[Episode], Mapping[str, EpisodeDecision]]
_SEED = 1
_CONTROL = "resco"


class Job(WireModel):
    """An episode in which everything is decided."""

    config: str
    seed: int
    begin_s: float
    end_s: float
    interval_s: int
    signals: tuple[str, ...]
    greens: dict[str, tuple[int, ...]]
    """The green phases of each signal's program."""
    actions: tuple[ControlAction, ...]
    steps: tuple[StepRequest, ...]
    reads_all: bool = True
    """Read what an episode reads; else only the network's delay."""


class Loop(WireModel):
    """What the loop of a way took."""

    wall_s: float
    cpu_s: float
    """Processor seconds of all its processes."""
    queue_sum_veh: int | None = None
    switches: int | None = None
    seconds_s: tuple[float, ...] = ()
    """When each second was done, since the begin."""


class Stage:
    """A network, ready to be run."""

    def __init__(self, network: str, folder: Path, fork_server: ForkServer) -> None:
        self.network = network
        self.scenario = resco_scenario(network)
        self.folder = folder
        self.config = self.scenario.write(folder / "scenario")
        self._fork_server = fork_server

    def start(self, length_s: int) -> Episode:
        """An episode at its begin, under RESCO's rules."""
        begin_s = self.scenario.begin_s
        request = EpisodeRequest.model_validate(
            {"scenario_id": self.network, "end_s": begin_s + length_s}
            | {"control": {"preset": _CONTROL}}
        )
        spec = EpisodeSpec.of(request, _SEED, begin_s, self.scenario.end_s)
        opening = Open(config=str(self.config), seed=_SEED)
        return Episode.start(self._fork_server, opening, spec)


def resco_scenario(network: str) -> Scenario:
    """One of RESCO's networks."""
    return load_scenario(locate_scenario(f"resco:{network}"))


@contextmanager
def on_stage(network: str) -> Iterator[Stage]:
    """Prepares one of RESCO's networks."""
    with TemporaryDirectory(prefix="greenfork-bench-") as folder, ForkServer() as fork_server:
        yield Stage(network, Path(folder), fork_server)


def job_of(stage: Stage, length_s: int, decide: Decide) -> Job:
    """Drives an episode, untimed, and writes down what was decided."""
    with stage.start(length_s) as episode:
        while not episode.is_over:
            decided = dict(decide(episode))
            episode.step(StepRequest(step=episode.steps, decisions=decided))
        greens = {
            tls: signal.programs[episode.program_id(tls)].greens()
            for tls, signal in episode.steered.items()
        }
        spec, finished = episode.spec, episode.finish()
    return Job(
        config=str(stage.config),
        seed=spec.seed,
        begin_s=spec.begin_s,
        end_s=spec.end_s,
        interval_s=PRESETS[_CONTROL].interval_s,
        signals=tuple(greens),
        greens=greens,
        actions=finished.actions,
        steps=finished.record.steps,
    )


def run_module(
    module: str, job: Job, folder: Path, environment: Mapping[str, str] | None = None
) -> Loop:
    """What a way in a process of its own took."""
    path = folder / "job.json"
    path.write_text(job.model_dump_json())
    command = [sys.executable, "-m", f"benchmarks.episodes.{module}", str(path)]
    done = subprocess.run(
        command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment
    )
    return Loop.model_validate_json(done.stdout.splitlines()[-1])
