"""Driving episodes in tests: by coin, from the files of a scenario."""

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from shared.wire.episodes import EpisodeDecision, EpisodeRequest, StepRequest
from sim_workers.engine.fork_client import ForkServer
from sim_workers.engine.messages import Open
from sim_workers.episodes.episode import Episode
from sim_workers.episodes.record import EpisodeSpec
from sim_workers.scenarios.resco import locate_scenario
from sim_workers.scenarios.scenario import Scenario, load_scenario

__all__ = ["SEED", "Stage", "decide_by_coin", "drive", "on_stage"]

SEED = 7


class Stage:
    """A scenario that is ready to be run, and a fork server."""

    def __init__(self, scenario: Scenario, folder: Path, fork_server: ForkServer) -> None:
        self.scenario = scenario
        self.fork_server = fork_server
        self.opening = Open(config=str(scenario.write(folder)), seed=0)

    def spec(self, length_s: float, **asked: Any) -> EpisodeSpec:  # noqa: ANN401
        """What is asked for, from the scenario's begin on."""
        begin_s = self.scenario.begin_s
        request = EpisodeRequest.model_validate(
            {"scenario_id": "x", "seed": SEED, "end_s": begin_s + length_s} | asked
        )
        return EpisodeSpec.of(request, SEED, begin_s, self.scenario.end_s)

    def start(self, length_s: float, **asked: Any) -> Episode:  # noqa: ANN401
        """An episode at its begin."""
        return Episode.start(self.fork_server, self.opening, self.spec(length_s, **asked))


@contextmanager
def on_stage(reference: str) -> Iterator[Stage]:
    """Prepares a scenario, a path or one of the RESCO networks."""
    scenario = load_scenario(locate_scenario(reference))
    with TemporaryDirectory() as folder, ForkServer() as fork_server:
        yield Stage(scenario, Path(folder), fork_server)


def decide_by_coin(seed: int) -> Callable[[Episode], dict[str, EpisodeDecision]]:
    """Chooses among the legal decisions of each signal; sometimes says nothing."""
    rng = random.Random(seed)

    def decide(episode: Episode) -> dict[str, EpisodeDecision]:
        return {
            tls_id: rng.choice(seen.legal)
            for tls_id, seen in sorted(episode.answer.signals.items())
            if seen.legal and rng.random() < 0.9
        }

    return decide


def drive(
    episode: Episode, decide: Callable[[Episode], dict[str, EpisodeDecision]], to_step: int = 10_000
) -> None:
    """Steps on until the end, or so many steps are done."""
    while not episode.is_over and episode.steps < to_step:
        episode.step(StepRequest(step=episode.steps, decisions=decide(episode)))
