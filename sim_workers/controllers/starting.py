"""Starts the episodes of a comparison, with the network's programs or with SUMO's own."""

import threading
import typing
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from shared.wire.episodes import EpisodeRequest, ProgramKind
from sim_workers.controllers.controller import DrivenEpisode
from sim_workers.controllers.protocols import Protocol
from sim_workers.engine.fork_client import ForkServer
from sim_workers.engine.messages import Open
from sim_workers.episodes.episode import Episode
from sim_workers.episodes.programs import replace_programs
from sim_workers.episodes.record import EpisodeSpec
from sim_workers.scenarios.scenario import Scenario

__all__ = ["EpisodeStarter", "LocalStarter", "Start", "spec_of"]

_NAMED = "local"
"""Placeholder id for a scenario that no service knows."""


@dataclass(frozen=True)
class Start:
    """How an episode starts."""

    seed: int
    program: ProgramKind | None = None
    """The type of program that replaces the network's own; None: the network's own."""
    is_steering: bool = True
    """Whether any decisions are made."""
    observe: tuple[Literal["prompt", "features"], ...] = ()
    """What its answers include."""


def spec_of(
    scenario: Scenario, protocol: Protocol, start: Start, end_s: float | None
) -> EpisodeSpec:
    """The specification of an episode.

    Raises:
        InvalidRequest: As for :meth:`EpisodeSpec.of`.
    """
    request = EpisodeRequest(
        scenario_id=_NAMED,
        seed=start.seed,
        end_s=end_s,
        signals=None if start.is_steering else (),
        control=protocol.control,
        observe=start.observe,
    )
    begin_s, last_s = scenario.begin_s, scenario.end_s
    return EpisodeSpec.of(request, start.seed, begin_s, last_s, arguments=protocol.arguments)


class EpisodeStarter(typing.Protocol):
    """Starts the episodes of a comparison, from any thread."""

    def start(self, start: Start) -> DrivenEpisode:
        """Starts an episode.

        Raises:
            GreenforkError: It cannot be started.
        """


class LocalStarter:
    """Starts episodes of one scenario on this machine, from any thread.

    Args:
        scenario: The scenario.
        protocol: How its signals are controlled.
        end_s: When the episodes end; None: after an hour.
        fork_server: Creates the processes.
        folder: Folder for the scenario's files.
    """

    def __init__(
        self,
        scenario: Scenario,
        protocol: Protocol,
        end_s: float | None,
        fork_server: ForkServer,
        folder: Path,
    ) -> None:
        self._scenario = scenario
        self._protocol = protocol
        self._end_s = end_s
        self._fork_server = fork_server
        self._folder = folder
        self._openings: dict[ProgramKind | None, Open] = {}
        self._lock = threading.Lock()

    def start(self, start: Start) -> Episode:
        """Starts an episode; raises the same errors as :meth:`Episode.start`."""
        spec = spec_of(self._scenario, self._protocol, start, self._end_s)
        return Episode.start(self._fork_server, self._opening(start), spec)

    def _opening(self, start: Start) -> Open:
        """How to open the scenario, with its own programs or with SUMO's of some type."""
        program = start.program
        with self._lock:
            if program not in self._openings:
                config = self._scenario.write(self._folder / (program or "own"))
                opening = Open(config=str(config), seed=start.seed)
                if program is not None:
                    replace_programs(self._fork_server, config, program)
                self._openings[program] = opening
            return self._openings[program]
