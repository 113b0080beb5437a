"""Takes jobs in: turns a body of any format into chunks of items, on disk throughout."""

import asyncio
from collections.abc import AsyncIterable, Callable, Iterable
from contextlib import ExitStack
from typing import IO, Literal

from reward_server.http.reading.reader import BodyReader
from reward_server.http.slots import FairSlots
from reward_server.jobs.bodies import Bodies, disk_errors
from reward_server.jobs.chunker import Chunker, Cut, read_lines
from reward_server.settings import ServerSettings
from shared.errors import BodyTooLarge, InvalidRequest
from shared.wire.jobs import JobSpec
from shared.wire.scoring import Item, ScoreItem

__all__ = ["BodyForm", "CheckItem", "Intake"]

BodyForm = Literal["json", "lines", "parquet"]

CheckItem = Callable[[Item, JobSpec], None]
"""Raises a ``RequestError`` where an item names what is not served, or its domain has no such
reward."""

_READ_TOGETHER = 2
"""Number of bodies read at a time: reading takes the processor from everything else."""


class Intake:
    """Reads bodies of any format.

    Args:
        settings: How much there may be, and where it is kept meanwhile.
        check: What items may name, and under which reward.
        reader: Reads bodies that are one JSON document.
    """

    def __init__(self, settings: ServerSettings, check: CheckItem, reader: BodyReader) -> None:
        self._settings = settings
        self._check = check
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
    ) -> tuple[JobSpec, Iterable[tuple[str, Item]]]:
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

    def _cut(self, items: Iterable[tuple[str, Item]], spec: JobSpec, chunks: IO[bytes]) -> Cut:
        chunker = Chunker(
            chunks, _KnownNames(self._check, spec).check, self._settings.max_job_items
        )
        return chunker.cut(spec, items)


class _KnownNames:
    """States and signals, each looked up once; items of other domains each for themselves."""

    def __init__(self, check: CheckItem, spec: JobSpec) -> None:
        self._check = check
        self._spec = spec
        self._known: set[tuple[str, ...]] = set()

    def check(self, item: Item) -> None:
        """Returns where an item names what is known."""
        if not isinstance(item, ScoreItem):
            self._check(item, self._spec)
            return
        names = (item.state_id, *item.tls_ids())
        if names not in self._known:
            self._check(item, self._spec)
            self._known.add(names)
