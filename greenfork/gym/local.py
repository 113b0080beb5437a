"""Episodes in processes of this machine, without a service."""

from contextlib import ExitStack
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Self
from uuid import uuid4

from shared.errors import InvalidRequest
from shared.wire.episodes import EpisodeFigures, EpisodeRequest, StepAnswer, StepRequest

if TYPE_CHECKING:
    from sim_workers.engine.fork_client import ForkServer
    from sim_workers.engine.messages import Open
    from sim_workers.episodes.episode import Episode
    from sim_workers.scenarios.scenario import Scenario

__all__ = ["LocalEpisodes"]


class LocalEpisodes:
    """Begins episodes of one scenario. Use as a context, or close it.

    Args:
        scenario: Path of a ``.sumocfg``, or ``resco:<network>``.
    """

    def __init__(self, scenario: str | Path) -> None:
        self._reference = str(scenario)
        self._parts = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    @property
    def scenario_id(self) -> str:
        """The scenario's.

        Raises:
            ScenarioError: It cannot be loaded.
        """
        return self._scenario.scenario_id

    def begin(self, request: EpisodeRequest) -> "LocalEpisode":
        """Begins an episode.

        Raises:
            InvalidRequest: It is not one of this scenario, or a field is wrong.
            RolloutError: SUMO refuses it, or a process died.
        """
        from sim_workers.episodes.episode import Episode
        from sim_workers.episodes.record import EpisodeSpec

        if request.scenario_id != self.scenario_id:
            raise InvalidRequest(
                f"only episodes of {self.scenario_id} run in this process, from its begin; saved "
                "states and other scenarios are a reward service's",
                "unknown_scenario",
            )
        scenario = self._scenario
        spec = EpisodeSpec.of(request, scenario.run_seed, scenario.begin_s, scenario.end_s)
        fork_server, opening = self._ground
        return LocalEpisode(Episode.start(fork_server, opening, spec, uuid4().hex))

    def close(self) -> None:
        """Ends every episode and its process."""
        self._parts.close()

    @cached_property
    def _scenario(self) -> "Scenario":
        from sim_workers.scenarios.resco import locate_scenario
        from sim_workers.scenarios.scenario import load_scenario

        return load_scenario(locate_scenario(self._reference))

    @cached_property
    def _ground(self) -> "tuple[ForkServer, Open]":
        """What episodes are made of: a fork server, and the scenario's files in a folder."""
        from sim_workers.engine.fork_client import ForkServer
        from sim_workers.engine.messages import Open

        folder = self._parts.enter_context(TemporaryDirectory(prefix="greenfork-"))
        fork_server = self._parts.enter_context(ForkServer())
        config = self._scenario.write(Path(folder))
        return fork_server, Open(config=str(config), seed=0)


class LocalEpisode:
    """An episode and its process.

    Args:
        episode: At its begin.
    """

    def __init__(self, episode: "Episode") -> None:
        self._episode = episode

    @property
    def answer(self) -> StepAnswer:
        """The last one."""
        return self._episode.answer

    def step(self, request: StepRequest) -> StepAnswer:
        """Carries decisions out and steps one interval."""
        return self._episode.step(request)

    def figures(self) -> EpisodeFigures:
        """What it adds up to; its process is gone afterwards."""
        return self._figures

    def close(self) -> None:
        """Lets the process go."""
        self._episode.close()

    @cached_property
    def _figures(self) -> EpisodeFigures:
        return self._episode.finish().figures
