"""Who follows a job is told that something has happened to it, if it happened in this gateway."""

import asyncio
from weakref import WeakValueDictionary

__all__ = ["JobNotifier"]


class JobNotifier:
    """News of jobs. What happens in other gateways is not heard of: look again from time to time.

    A ticket is taken before looking, so that nothing is missed between looking and waiting.
    """

    def __init__(self) -> None:
        self._tickets: WeakValueDictionary[str, asyncio.Event] = WeakValueDictionary()
        self.is_closed = False
        """Whether the gateway ends, and everybody should go."""

    def ticket(self, job_id: str) -> asyncio.Event:
        """Set when something happens to the job from now on."""
        ticket = self._tickets.get(job_id)
        if ticket is None:
            ticket = self._tickets[job_id] = asyncio.Event()
        return ticket

    def tell(self, job_id: str) -> None:
        """Something has happened to a job."""
        ticket = self._tickets.pop(job_id, None)
        if ticket is not None:
            ticket.set()

    def close(self) -> None:
        """Sends everybody away."""
        self.is_closed = True
        for job_id in list(self._tickets):
            self.tell(job_id)

    async def wait(self, ticket: asyncio.Event, patience_s: float) -> None:
        """Returns when something has happened, or after a while."""
        try:
            async with asyncio.timeout(patience_s):
                await ticket.wait()
        except TimeoutError:
            return
