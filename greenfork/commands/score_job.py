"""``greenfork score`` for large files: sent once, scored as a job, read as it gets done.

A job goes on without the command. Its key is made of the input, the reward and the output, so that
the same command again takes up the same job.
"""

import asyncio
import hashlib
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING

from shared.errors import InputError, ServiceError, ServiceRefused
from shared.files import os_errors

if TYPE_CHECKING:
    from pydantic import SecretStr

    from reward_client.jobs import JobClient
    from reward_client.jsonl import Batch
    from shared.wire.error_info import ErrorInfo
    from shared.wire.jobs import JobResult, JobSpec, JobView

__all__ = ["JobInput", "JobOrder", "delete_job", "job_input", "score_as_job"]

_BATCH = 256
_READ_TOGETHER = 1000
_REFUSALS_OF_JOBS = frozenset({"method_not_allowed", "not_found"})
"""What a service answers that knows no jobs."""


@dataclass(frozen=True)
class JobInput:
    """What is sent, and what is not."""

    path: Path
    """A file that holds items only."""
    digest: str
    """Of the whole input."""
    bad_lines: "dict[int, ErrorInfo]" = field(default_factory=dict)
    """Lines that are no items, by number from 1; they fail without being sent."""
    items: int | None = None
    """Items in the file; None where that is not known before it is sent."""


@contextmanager
def job_input(source: Path) -> Iterator[JobInput]:
    """Sorts out what can be sent; what is copied for that goes in the end.

    Args:
        source: JSON lines, or Parquet, which is sent as it is.

    Raises:
        InputError: It cannot be read.
    """
    with os_errors(InputError, f"cannot read {source}"), source.open("rb") as file:
        if source.suffix == ".parquet":
            yield JobInput(source, hashlib.file_digest(file, "sha256").hexdigest())
            return
        with tempfile.NamedTemporaryFile(suffix=".jsonl") as good:
            yield _sorted_out(file, good)


def _sorted_out(texts: IO[bytes], good: IO[bytes]) -> JobInput:
    from reward_client.jsonl import read_lines

    digest = hashlib.sha256()
    bad: dict[int, ErrorInfo] = {}
    items = 0

    def noted() -> Iterator[bytes]:
        for text in texts:
            digest.update(text)
            yield text

    for lines in read_lines(noted(), _READ_TOGETHER):
        for line in lines:
            if line.item is None:
                assert line.error is not None, "it is one or the other"  # noqa: S101
                bad[line.number] = line.error
            else:
                items += 1
                good.write(line.item.model_dump_json(exclude_none=True).encode() + b"\n")
    good.flush()
    return JobInput(Path(good.name), digest.hexdigest(), bad, items)


@dataclass(frozen=True)
class JobOrder:
    """What is to be scored, and how."""

    url: str
    api_key: "SecretStr | None"
    spec: "JobSpec"
    source: Path
    output: Path
    """Where the results will be; part of what makes the job this one."""
    is_optional: bool
    """Whether it may be done without a job where the service takes none like this."""

    def key(self, given: JobInput) -> str:
        """The job's key."""
        parts = (given.digest, self.spec.model_dump_json(), str(self.output.resolve()))
        return "score-" + hashlib.sha256("\n".join(parts).encode()).hexdigest()


def score_as_job(order: JobOrder, take: "Callable[[Batch], None]") -> "JobView | None":
    """Scores a file as a job.

    Args:
        order: What to score.
        take: Given all lines with their results, in order, as they get ready.

    Returns:
        The job, done; None where the service takes no such job, and nothing was scored.

    Raises:
        InputError: The file cannot be read.
        ServiceError: Nothing answers, the job is refused, or it failed as a whole.
    """
    scorer = _JobScorer(order)
    try:
        with job_input(order.source) as given:
            return asyncio.run(scorer.score(given, take))
    except KeyboardInterrupt:
        if scorer.is_sent:
            sys.stderr.write(f"greenfork: {_left_behind(order, scorer.job_id)}\n")
        raise


def _left_behind(order: JobOrder, job_id: str | None) -> str:
    """What is said of a job when the command is interrupted.

    It may be so between the last byte of the job and the service's answer: the job is there, and
    its id is not known here yet.
    """
    if job_id is None:
        return (
            "the service may have the job; run the same command again to resume it, or "
            f"`greenfork jobs list --url {order.url}` to look for it"
        )
    return (
        "the job continues on the service; run the same command again to resume it, or "
        f"`greenfork jobs cancel {job_id} --url {order.url}` to cancel it"
    )


def delete_job(order: JobOrder, job_id: str) -> None:
    """Deletes a job whose results are safe; where that fails, it goes by itself after a while."""
    from reward_client.jobs import JobClient

    async def delete() -> None:
        async with JobClient(order.url, order.api_key) as client:
            with suppress(ServiceError):
                await client.delete(job_id)

    asyncio.run(delete())


class _JobScorer:
    def __init__(self, order: JobOrder) -> None:
        self._order = order
        self.is_sent = False
        """Whether the service may have the job."""
        self.job_id: str | None = None
        """Once the service has said it."""

    async def score(self, given: JobInput, take: "Callable[[Batch], None]") -> "JobView | None":
        """Sends the job and hands its results on."""
        from reward_client.jobs import JobClient

        if given.items == 0:
            return None
        async with JobClient(self._order.url, self._order.api_key) as client:
            self.is_sent = True
            job = await self._submit(client, given)
            self.is_sent = job is not None
            if job is None:
                return None
            self.job_id = job.id
            async for batch in _batches(client.results(job.id), given):
                take(batch)
            return await client.job(job.id)

    async def _submit(self, client: "JobClient", given: JobInput) -> "JobView | None":
        from reward_client.jsonl import OF_ONE_ITEM

        order = self._order
        key = order.key(given)
        try:
            job = await client.submit(given.path, order.spec, key)
            if job.status == "failed":  # an earlier attempt; what it has done is known still
                await client.delete(job.id)
                job = await client.submit(given.path, order.spec, key)
        except ServiceRefused as exc:
            if order.is_optional and exc.code in OF_ONE_ITEM | _REFUSALS_OF_JOBS:
                return None
            raise
        return job


async def _batches(results: "AsyncIterator[JobResult]", given: JobInput) -> "AsyncIterator[Batch]":
    """All lines with their results, some at a time; what was not sent fails at its place."""
    from reward_client.jsonl import Batch, Line
    from shared.wire.scoring import ScoreResult

    lines: list[Line] = []
    found: list[ScoreResult] = []
    number = 0

    def add(result: ScoreResult) -> None:
        nonlocal number
        number += 1
        lines.append(Line(number, None, result.error))
        found.append(result)

    def add_bad_lines() -> None:
        while (error := given.bad_lines.get(number + 1)) is not None:
            add(ScoreResult(id=None, status="failed", reward=None, error=error))

    add_bad_lines()
    async for result in results:
        add(result.to_result())
        add_bad_lines()
        if len(lines) >= _BATCH:
            yield Batch(lines, found, 0)
            lines, found = [], []
    if lines:
        yield Batch(lines, found, 0)
