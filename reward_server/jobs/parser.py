"""Takes jobs in: turns a body of any format into chunks of items, on disk throughout."""

import asyncio
from collections.abc import AsyncIterable, Iterable
from contextlib import ExitStack
from typing import IO, Literal

from reward_server.http.reading.reader import BodyReader
from reward_server.http.slots import FairSlots
from reward_server.jobs.bodies import Bodies, disk_errors
from reward_server.jobs.chunker import Chunker, Cut, read_lines
from reward_server.scoring.rollout_plan import check_signal
from reward_server.settings import ServerSettings
from shared.errors import BodyTooLarge, InvalidRequest
from shared.wire.jobs import JobSpec
from shared.wire.scoring import ScoreItem
from sim_workers.states.store import StateStore

__all__ = ["BodyForm", "Intake"]

BodyForm = Literal["json", "lines", "parquet"]

_READ_TOGETHER = 2
"""Number of bodies read at a time: reading takes the processor from everything else."""


class Intake:
    """Reads bodies of any format.

    Args:
        settings: The limits, and where bodies are kept meanwhile.
        states: The states that items may name.
        reader: Reads bodies that are one JSON document.
    """

    def __init__(self, settings: ServerSettings, states: StateStore, reader: BodyReader) -> None:
        self._settings = settings
        self._states = states
        self._reader = reader
        self._bodies = Bodies(settings.data_dir, settings.max_job_bytes, settings.max_job_items)
        self._slots = FairSlots(_READ_TOGETHER)

    async def read(
        self,
        caller: str,
        body: AsyncIterable[bytes],
        form: BodyForm,
        spec: JobSpec,
        files: ExitStack,
    ) -> Cut:
        """The items of a body, cut into chunks, in a file that is closed with ``files``.

        Callers take turns, so that no one has to wait for everything that another has sent.
        """
        file = files.enter_context(self._bodies.scratch())
        await self._bodies.keep(body, file)
        chunks = files.enter_context(self._bodies.scratch())
        async with self._slots.held(caller):
            with disk_errors():
                if form == "json":
                    spec, items = await self._read_document(caller, file)
                    return await asyncio.to_thread(self._cut, items, spec, chunks)
                if form == "parquet":
                    lines = files.enter_context(self._bodies.scratch())
                    await self._bodies.convert_parquet(file, lines)
                    file = lines
                return await asyncio.to_thread(self._cut, read_lines(file), spec, chunks)

    async def _read_document(
        self, caller: str, file: IO[bytes]
    ) -> tuple[JobSpec, Iterable[tuple[str, ScoreItem]]]:
        """The spec and the items of one JSON document.

        ``timeout_s`` is ignored: a job may take as long as it needs.
        """
        limit = self._settings.max_body_bytes
        document = await asyncio.to_thread(file.read, limit + 1)
        if len(document) > limit:
            raise BodyTooLarge(
                f"a JSON document may have at most {limit} bytes; send one item per line "
                "(application/x-ndjson), or Parquet"
            )
        terms = (await self._reader.read("job", document, caller)).batch()
        if terms.trace:
            raise InvalidRequest("trace: jobs have none; ask POST /v1/score for a few items")
        items = ((f"items[{index}]", item) for index, item in enumerate(terms.items))
        return JobSpec(reward=terms.reward, series=terms.series, metrics=terms.metrics), items

    def _cut(self, items: Iterable[tuple[str, ScoreItem]], spec: JobSpec, chunks: IO[bytes]) -> Cut:
        chunker = Chunker(chunks, _KnownNames(self._states).check, self._settings.max_job_items)
        return chunker.cut(spec, items)


class _KnownNames:
    """States and signals, each looked up once."""

    def __init__(self, states: StateStore) -> None:
        self._states = states
        self._known: set[tuple[str, ...]] = set()

    def check(self, item: ScoreItem) -> None:
        """Returns if an item names a known state and signals."""
        names = (item.state_id, *item.tls_ids())
        if names in self._known:
            return
        if not self._states.knows(item.state_id):
            self._states.look_again()
        state = self._states.get(item.state_id)
        for tls_id in item.tls_ids():
            check_signal(state, tls_id)
        self._known.add(names)
