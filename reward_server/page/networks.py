"""The networks of the served scenarios, read when somebody wants to draw one."""

import asyncio
from collections import OrderedDict

from shared.errors import UnknownScenario
from sim_workers.scenarios.geometry import Network, read_network
from sim_workers.scenarios.scenario import CONFIG_NAME
from sim_workers.states.store import StateStore, StoredState

__all__ = ["NetworkCache"]

_KEPT = 4
"""Networks kept in memory: that of a large city takes a hundred megabytes."""


class NetworkCache:
    """Caches the most recently requested networks. They are read in a thread, one at a time.

    Args:
        store: Knows where the files of a scenario are.
    """

    def __init__(self, store: StateStore) -> None:
        self._store = store
        self._networks: OrderedDict[str, Network] = OrderedDict()
        self._reading = asyncio.Lock()

    async def get(self, scenario_id: str) -> Network:
        """The network of a scenario.

        Raises:
            UnknownScenario: No state of such a scenario is served.
            DatasetError: Its files were changed or cannot be read.
        """
        async with self._reading:
            if scenario_id not in self._networks:
                self._networks[scenario_id] = await asyncio.to_thread(self._read, scenario_id)
            self._networks.move_to_end(scenario_id)
            while len(self._networks) > _KEPT:
                self._networks.popitem(last=False)
            return self._networks[scenario_id]

    def _read(self, scenario_id: str) -> Network:
        state = _some_state_of(self._store, scenario_id)
        if state is None:
            raise UnknownScenario(f"no state of a scenario {scenario_id[:120]!r} is served here")
        state.read_scenario()  # checks that its files match the id
        return read_network(state.layout.scenario, CONFIG_NAME)


def _some_state_of(store: StateStore, scenario_id: str) -> StoredState | None:
    return next((state for state in store if state.record.scenario_id == scenario_id), None)
