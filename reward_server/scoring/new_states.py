"""States that were added since the gateway started."""

import asyncio
from collections.abc import Iterable

from sim_workers.states.store import StateStore

__all__ = ["NewStates"]


class NewStates:
    """Looks for new states when somebody asks for one that the store does not know.

    A state may have been uploaded to another gateway of this data directory. Reading the indices of
    uploads may take seconds, so it is done in a thread, once for all who ask meanwhile.

    Args:
        store: The states.
    """

    def __init__(self, store: StateStore) -> None:
        self._store = store
        self._looking: asyncio.Task[None] | None = None

    async def meet(self, state_ids: Iterable[str]) -> None:
        """Returns when the store knows the states, or they are known not to exist."""
        if all(self._store.knows(state_id) for state_id in state_ids):
            return
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(asyncio.to_thread(self._store.look_again))
        await asyncio.shield(self._looking)
