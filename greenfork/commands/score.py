"""``greenfork score``: score a file of decisions at a reward URL."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from time import perf_counter
from typing import IO, TYPE_CHECKING, Annotated

import typer

from greenfork.commands.options import ApiKey, Url, checked, secret
from greenfork.output import print_json
from greenfork.progress import progress_bar
from greenfork.screen import figure, print_rows, say
from shared.errors import InputError
from shared.files import os_errors, written_atomically

if TYPE_CHECKING:
    from greenfork.commands.score_job import JobOrder
    from reward_client.jsonl import Batch

__all__ = ["EXAMPLE", "score"]

EXAMPLE = (
    "Example: greenfork score --url http://127.0.0.1:8000 --input decisions.jsonl "
    "--output rewards.jsonl"
)
_MAX_LISTED = 20
_JOB_LINES = 2000
"""Longer files are scored as jobs."""


@dataclass(frozen=True)
class _Failure:
    line: int
    code: str
    message: str


@dataclass
class _Summary:
    """What became of the file."""

    lines: int = 0
    scored: int = 0
    invalid: int = 0
    failed: int = 0
    cached: int = 0
    rollouts: int = 0
    reward_sum: float = 0.0
    wall_s: float = 0.0
    failures: list[_Failure] = field(default_factory=list)
    """The first of them."""

    @property
    def mean_reward(self) -> float | None:
        """Over the lines that have a reward; None where none has."""
        rewarded = self.scored + self.invalid
        return self.reward_sum / rewarded if rewarded else None

    @property
    def items_per_s(self) -> float:
        """Lines a second."""
        return self.lines / self.wall_s if self.wall_s > 0 else 0.0

    def add(self, batch: "Batch", wall_s: float) -> None:
        """Counts a batch, done ``wall_s`` seconds after the beginning."""
        self.wall_s = wall_s
        self.lines += len(batch.lines)
        self.rollouts += batch.rollouts
        for line, result in zip(batch.lines, batch.results, strict=True):
            self.scored += result.status == "scored"
            self.invalid += result.status == "invalid"
            self.failed += result.status == "failed"
            self.cached += result.cached
            self.reward_sum += result.reward or 0.0
            if result.status == "failed" and result.error and len(self.failures) < _MAX_LISTED:
                message = result.error.message
                self.failures.append(_Failure(line.number, result.error.code, message))


_Source = Annotated[
    Path, typer.Option("--input", help="JSON lines, one item per line, or a .parquet file.")
]
_Reward = Annotated[
    str,
    typer.Option(
        "--reward",
        help="queue_gain, queue, wait, pressure, speed, delay, custom.NAME, or sum with --term.",
    ),
]
_Term = Annotated[
    list[str] | None,
    typer.Option(help="Term of a sum, queue_gain=1.0; repeatable."),
]
_FollowUp = Annotated[
    str,
    typer.Option(help="What controls the signals afterwards: program, max_pressure or greedy."),
]
_Seed = Annotated[
    list[int] | None,
    typer.Option(help="Reseed with this; repeatable, for the mean over the seeds."),
]
_Series = Annotated[bool, typer.Option("--series", help="Include the per-second series.")]
_Metrics = Annotated[
    list[str] | None,
    typer.Option("--metrics", help="Write only this metric, queue_veh or custom.NAME; repeatable."),
]
_Job = Annotated[
    bool | None,
    typer.Option(
        help="Send the file once, as a job that continues if this command ends; the same "
        "command resumes it. Default: if the file has more than 2000 lines."
    ),
]


def score(
    context: typer.Context,
    url: Url,
    source: _Source,
    output: Annotated[Path, typer.Option(help="Results file, one line per line of the input.")],
    name: _Reward = "queue_gain",
    term: _Term = None,
    horizon_s: Annotated[int, typer.Option("--horizon", help="Rollout length, seconds.")] = 60,
    follow_up: _FollowUp = "program",
    seed: _Seed = None,
    timeout: Annotated[float, typer.Option(help="Timeout per request, seconds.")] = 120,
    series: _Series = False,
    metrics: _Metrics = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Lines per request.")] = 512,
    job: _Job = None,
    api_key: ApiKey = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
) -> None:
    """Score decisions, one JSON object per line: state_id, tls_id, and a decision or completion.

    Alternatively, a line has decisions at several signals: state_id, and decisions by signal.
    Lines that fail are null in the output, with a reason; the exit status is then 1.
    """
    import asyncio

    from greenfork.commands.score_job import JobOrder, delete_job, score_as_job
    from shared.rewards import RewardSpec
    from shared.wire.jobs import JobSpec

    terms = _weights(term) if term else None
    spec = checked(RewardSpec, context.params, terms=terms, seeds=seed or None)
    asked = checked(JobSpec, {"series": series}, reward=spec, metrics=metrics or None)
    is_table = source.suffix == ".parquet"
    is_optional = job is None and not is_table
    order = JobOrder(url, secret(api_key), asked, source, output, is_optional)
    total = None if is_table else _count_lines(source)
    is_job, summary = _is_job(source, total, job), _Summary()
    bar = progress_bar(
        "scoring", "{task.fields[rate]:.0f}/s", total=total, is_hidden=as_json, rate=0.0
    )
    with _written(output) as sink, bar as update:
        take = _taker(sink, summary, update)
        done = score_as_job(order, take) if is_job else None
        if done is None:
            asyncio.run(_score_all(order, timeout, batch_size, take))
    if done is not None:
        summary.cached, summary.rollouts = done.counts.cached, done.counts.rollouts
        delete_job(order, done.id)
    _report(summary, output, as_json)
    raise typer.Exit(1 if summary.failed else 0)


def _is_job(source: Path, total: int | None, is_wanted: bool | None) -> bool:
    """Whether a file is scored as a job.

    Raises:
        InputError: It must be, and shall not.
    """
    if total is None and is_wanted is False:
        raise InputError(f"{source} can only be scored as a job: remove --no-job", "job_needed")
    return total is None or (total > _JOB_LINES if is_wanted is None else is_wanted)


def _taker(
    sink: IO[bytes], summary: _Summary, update: Callable[..., None]
) -> "Callable[[Batch], None]":
    """Writes batches down as they come, and moves the bar."""
    begin_s = perf_counter()

    def take(batch: "Batch") -> None:
        summary.add(batch, perf_counter() - begin_s)
        sink.writelines(r.model_dump_json().encode() + b"\n" for r in batch.results)
        update(advance=len(batch.lines), rate=summary.items_per_s)

    return take


async def _score_all(
    order: "JobOrder", timeout_s: float, batch_size: int, take: "Callable[[Batch], None]"
) -> None:
    """Scores batch after batch."""
    from reward_client import RewardClient
    from reward_client.batches import Terms
    from reward_client.jsonl import LineScorer, read_lines

    terms = Terms(order.spec.reward, timeout_s, order.spec.series, order.spec.metrics)
    async with RewardClient(order.url, order.api_key) as client:
        with order.source.open("rb") as texts:
            async for batch in LineScorer(client, terms).score(read_lines(texts, batch_size)):
                take(batch)


def _weights(terms: Sequence[str]) -> dict[str, float]:
    """The weights of a sum, out of ``name=weight`` each.

    Raises:
        InputError: A term is not of that form, or there twice.
    """
    weights: dict[str, float] = {}
    for term in terms:
        name, _, weight = term.partition("=")
        try:
            value = float(weight)
        except ValueError as exc:
            raise InputError(
                f"--term {term}: expected a form such as queue_gain=1.0", "bad_term"
            ) from exc
        if name in weights:
            raise InputError(f"--term {name} is given twice", "bad_term")
        weights[name] = value
    return weights


def _count_lines(path: Path) -> int:
    """Lines of the input.

    Raises:
        InputError: There is no such file, or nothing in it.
    """
    with os_errors(InputError, f"cannot read {path}"), path.open("rb") as lines:
        count = sum(1 for _ in lines)
    if count == 0:
        raise InputError(f"{path} is empty; expected one JSON item per line", "empty_file")
    return count


@contextmanager
def _written(path: Path) -> Iterator[IO[bytes]]:
    """The output, which takes its place only when it is complete.

    Raises:
        InputError: It cannot be written there.
    """
    with ExitStack() as stack:
        with os_errors(InputError, f"cannot write {path}"):
            sink = stack.enter_context(written_atomically(path))
        yield sink


def _report(summary: _Summary, output: Path, as_json: bool) -> None:
    if as_json:
        body = asdict(summary) | {"output": str(output)}
        del body["reward_sum"]
        body |= {"mean_reward": summary.mean_reward, "items_per_s": summary.items_per_s}
        print_json(body)
        return
    counts = ("scored", "invalid", "failed", "cached", "rollouts")
    rows = [(name, str(getattr(summary, name))) for name in counts]
    rows.append(("mean reward", figure(summary.mean_reward, ".4f")))
    print_rows(str(output), [*rows, ("items per second", f"{summary.items_per_s:.1f}")])
    for failure in summary.failures:
        say(f"line {failure.line}: {failure.message} [{failure.code}]", err=True)
    if summary.failed > len(summary.failures):
        say(f"and {summary.failed - len(summary.failures)} more failed lines", err=True)
