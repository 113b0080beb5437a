"""Where the episodes of a comparison run: on this machine, or at a reward service."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from greenfork.control.remote import RemoteStarter
from shared.errors import ConfigError

if TYPE_CHECKING:
    from pydantic import SecretStr

    from reward_client import SyncRewardClient
    from sim_workers.controllers.control_run import ControlRun
    from sim_workers.controllers.controller import AnswererSpec
    from sim_workers.controllers.making import ControllerSpec
    from sim_workers.controllers.protocols import Protocol
    from sim_workers.scenarios.scenario import Scenario

__all__ = ["Asked", "LocalSite", "RemoteSite", "Site", "remote_site"]

Controllers = Sequence["ControllerSpec | AnswererSpec"]
OnStep = Callable[[float], None]


@dataclass(frozen=True)
class Asked:
    """What to run, except for the controllers."""

    scenario: str
    """A path or ``resco:<network>``; at a service, a scenario's id or name."""
    protocol: str
    seeds: tuple[int, ...]
    lanes: int
    """Episodes at a time."""
    end_s: float | None
    """When the episodes end; None: after an hour, or when the scenario ends."""


class Site(ABC):
    """A scenario in the place where it is run.

    Args:
        asked: What to run.
        name: The scenario's name.
        scenario_id: Its id.
    """

    def __init__(self, asked: Asked, name: str, scenario_id: str) -> None:
        from sim_workers.controllers.protocols import protocol_of

        self.asked = asked
        self.name = name
        self.scenario_id = scenario_id
        self.protocol: Protocol = protocol_of(asked.protocol, name)

    @property
    def arguments(self) -> tuple[str, ...]:
        """The protocol's arguments for SUMO, as far as they are used here."""
        return self.protocol.arguments

    @property
    @abstractmethod
    def length_s(self) -> float:
        """Simulated seconds of one episode."""

    @abstractmethod
    def run(self, controllers: Controllers, on_step: OnStep) -> "list[ControlRun]":
        """Runs every controller under every seed.

        Args:
            controllers: The controllers.
            on_step: Called with the simulated seconds of each step, from any thread.
        """


class LocalSite(Site):
    """A scenario on this machine."""

    def __init__(self, asked: Asked) -> None:
        from sim_workers.scenarios.resco import locate_scenario
        from sim_workers.scenarios.scenario import load_scenario

        self._scenario: Scenario = load_scenario(locate_scenario(asked.scenario))
        super().__init__(asked, self._scenario.name, self._scenario.scenario_id)

    @property
    def length_s(self) -> float:
        """Simulated seconds of one episode."""
        from sim_workers.controllers.starting import Start, spec_of

        spec = spec_of(self._scenario, self.protocol, Start(0), self.asked.end_s)
        return spec.end_s - spec.begin_s

    def run(self, controllers: Controllers, on_step: OnStep) -> "list[ControlRun]":
        """Runs every controller under every seed; see the base class."""
        from sim_workers.controllers.runs import ControlPlan, run_episodes

        asked = self.asked
        plan = ControlPlan(
            self._scenario, self.protocol, tuple(controllers), asked.seeds, asked.lanes, asked.end_s
        )
        return run_episodes(plan, on_step)


class RemoteSite(Site):
    """A scenario at a service. Checks at once that it can be run as requested.

    Args:
        asked: What to run.
        client: The service.

    Raises:
        ConfigError: Several scenarios have the name.
        ServiceError: The service does not answer, or refuses: ``unknown_scenario``, or another
            error with which episodes are refused.
    """

    def __init__(self, asked: Asked, client: "SyncRewardClient") -> None:
        from sim_workers.controllers.starting import Start

        scenario_id = served_id(asked.scenario, client)
        super().__init__(asked, scenario_id.rpartition("-")[0] or scenario_id, scenario_id)
        self._starter = RemoteStarter(client, scenario_id, self.protocol, asked.end_s)
        with self._starter.start(Start(asked.seeds[0])) as episode:
            self._length_s = episode.spec.end_s - episode.spec.begin_s

    @property
    def arguments(self) -> tuple[str, ...]:
        """None: a service runs the scenario as it was uploaded."""
        return ()

    @property
    def length_s(self) -> float:
        """Simulated seconds of one episode."""
        return self._length_s

    def run(self, controllers: Controllers, on_step: OnStep) -> "list[ControlRun]":
        """Runs every controller under every seed; see the base class."""
        from sim_workers.controllers.runs import Comparison, drive

        compared = Comparison(tuple(controllers), self.asked.seeds, self.asked.lanes)
        return drive(compared, self._starter, on_step)


@contextmanager
def remote_site(asked: Asked, url: str, key: "SecretStr | None") -> Iterator[RemoteSite]:
    """A scenario at the service of a URL; raises as :class:`RemoteSite`."""
    from reward_client import SyncRewardClient

    with SyncRewardClient(url, key) as client:
        yield RemoteSite(asked, client)


def served_id(given: str, client: "SyncRewardClient") -> str:
    """The id of a scenario given by id or name; without states it can be given only by id.

    Raises:
        ConfigError: Several scenarios have the name.
    """
    found = sorted({record.scenario_id for record in client.states(given)})
    if len(found) > 1:
        raise ConfigError(f"several scenarios are named {given}; give an id: {', '.join(found)}")
    return found[0] if found else given
