"""``greenfork dataset plans``: find candidate plans by beam search over the simulator."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from greenfork.commands.dataset_plan_answers import PlanAnswers, collect_answers
from greenfork.commands.options import ApiKey, TermChoice, fields_of, secret
from greenfork.output import print_json
from greenfork.progress import progress_bar
from greenfork.screen import say, screen
from shared.errors import DatasetError, InvalidDecision, RolloutError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pydantic import SecretStr

    from shared.candidates import PlanRow
    from shared.dataset import Row
    from shared.decisions import Plan
    from shared.rewards import RewardSpec
    from shared.wire.scoring import ScoreResult
    from sim_workers.plans.beam_search import FailedRow, PlanScorer, SearchOptions

__all__ = ["EXAMPLES", "plans"]

EXAMPLES = """Examples:

greenfork dataset plans datasets/cologne1 --out plans.jsonl --depth 4

greenfork dataset plans datasets/cologne1 --out plans.jsonl --url http://127.0.0.1:8000 --states 100

greenfork dataset plans datasets/ferry --out plans.jsonl --model runs/planning-start/model
--url http://127.0.0.1:8000

greenfork dataset plans datasets/ferry --out plans.jsonl --answers said.jsonl --scores rewards.jsonl
"""
_AT_A_TIME = 8
_MAX_LISTED = 20
_ROLLOUT_LIMIT_S = 60.0
_MAX_HOLDERS, _MAX_HOLDER_MEMORY_MB = 16, 4096


@dataclass(frozen=True)
class _Source:
    """Who rolls out: a service, or where none is named, a pool in this process."""

    dataset: Path
    url: str | None
    api_key: "SecretStr | None"
    workers: int | None
    timeout_s: float


_Out = Annotated[Path, typer.Option(help="JSON lines file to write, one decision point per line.")]
_Split = Annotated[
    Literal["train", "eval"], typer.Option(help="Rows to use.", case_sensitive=False)
]
_States = Annotated[
    int | None, typer.Option(min=1, help="Maximum number of rows, evenly spread. Default: all.")
]
_Beam = Annotated[
    int, typer.Option(min=2, help="Plans kept at each depth, and candidates per row.")
]
_Reward = Annotated[
    TermChoice, typer.Option(help="Reward by which plans are compared.", case_sensitive=False)
]
_Horizon = Annotated[
    int | None,
    typer.Option(min=1, max=3600, help="Rollout length, seconds. Default: the dataset's."),
]
_Url = Annotated[
    str | None, typer.Option(help="Reward service URL. Default: simulate in this process.")
]
_Workers = Annotated[
    int | None,
    typer.Option(min=1, help="Parallel simulations without --url. Default: one per CPU."),
]
_Model = Annotated[
    str | None,
    typer.Option("--model", help="Planning problems: sample candidates from this model."),
]
_Samples = Annotated[
    int, typer.Option(min=1, max=256, help="Planning problems: answers of --model per problem.")
]
_Temperature = Annotated[
    float, typer.Option(min=0.01, max=10, help="Planning problems: sampling temperature.")
]
_MaxTokens = Annotated[
    int, typer.Option(min=1, help="Planning problems: maximum answer length, tokens.")
]
_Answers = Annotated[
    Path | None,
    typer.Option(help="Planning problems: answers already scored, the --input of greenfork score."),
]
_Scores = Annotated[
    Path | None, typer.Option(help="Planning problems: the --output of that greenfork score.")
]
_PlanReward = Annotated[
    Literal["plan_valid", "plan_progress"],
    typer.Option(help="Planning problems: reward by which candidates are compared."),
]


def plans(
    dataset: Annotated[Path, typer.Argument(help="Dataset folder.")],
    out: _Out,
    split: _Split = "train",
    states: _States = None,
    beam: _Beam = 5,
    depth: Annotated[int, typer.Option(min=1, help="Decisions per plan.")] = 3,
    reward: _Reward = "queue_gain",
    horizon: _Horizon = None,
    url: _Url = None,
    api_key: ApiKey = None,
    workers: _Workers = None,
    timeout: Annotated[float, typer.Option(min=1, help="Timeout per batch, seconds.")] = 300,
    model: _Model = None,
    samples: _Samples = 8,
    temperature: _Temperature = 1.0,
    max_new_tokens: _MaxTokens = 256,
    answers: _Answers = None,
    scores: _Scores = None,
    plan_reward: _PlanReward = "plan_progress",
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
) -> None:
    """Search for the best yes/no plans at each decision point; every reward is a rollout.

    Each row contains its candidates as id_list and score_list, and as decisions with rewards. Rows
    with a plan that fails are left out and listed, and the exit status is 1. To resume an
    interrupted command, run it again.

    On planning problems, candidates are the reference plan and what --model answers, scored at
    --url; or --answers with their --scores.
    """
    if (dataset / "planning.json").is_file():
        asked_of = fields_of(
            PlanAnswers,
            locals(),
            problems=states,
            api_key=secret(api_key),
            reward=plan_reward,
            timeout_s=timeout,
        )
        raise typer.Exit(1 if collect_answers(asked_of, out, as_json) else 0)
    source = _Source(dataset, url, secret(api_key), workers, timeout)
    options = _options(dataset, beam, depth, reward, horizon)
    written, failed = _searched(source, options, split, states, out)
    _report(out, written, failed, as_json)
    raise typer.Exit(1 if failed else 0)


def _options(
    dataset: Path, beam: int, depth: int, reward: TermChoice, horizon: int | None
) -> "SearchOptions":
    from shared.rewards import RewardSpec
    from sim_workers.plans.beam_search import SearchOptions
    from sim_workers.states.store import read_manifest

    report = read_manifest(dataset).build
    spec = RewardSpec(name=reward, horizon_s=horizon or report.horizon_s)
    return SearchOptions(spec, beam, depth, report.extend_s)


def _searched(
    source: _Source,
    options: "SearchOptions",
    split: Literal["train", "eval"],
    states: int | None,
    out: Path,
) -> "tuple[int, list[FailedRow]]":
    """Searches the rows that are not in the file yet: how many are there then, and what failed."""
    from sim_workers.plans.plan_file import PlanFile

    rows = _rows(source.dataset, split, states)
    asked = {"dataset": str(source.dataset.resolve()), "split": split}
    asked |= {"beam": str(options.beam), "depth": str(options.depth)}
    file = PlanFile(out, asked | {"reward": options.reward.model_dump_json()})
    known = file.begin()
    open_rows = [row for row in rows if (row.state_id, row.tls_id) not in known]
    if done := len(rows) - len(open_rows):
        screen(stderr=True).print(f"Resuming: {done} of {len(rows)} decision points are done")
    with progress_bar("searching plans", total=len(rows), completed=done) as update:
        advance = partial(update, advance=1)
        failed = asyncio.run(_search(source, options, open_rows, file.append, advance))
    return file.finish(rows), failed


def _rows(dataset: Path, split: Literal["train", "eval"], count: int | None) -> "list[Row]":
    """The rows to search, evenly spread where they are more than wanted.

    Raises:
        DatasetError: There are none, or one is none.
    """
    from shared.dataset import DatasetLayout, Row
    from sim_workers.states.store import read_rows

    path = DatasetLayout(dataset).rows(split)
    rows = read_rows(path, Row, None)
    if not rows:
        raise DatasetError(f"{path} contains no rows")
    count = min(count or len(rows), len(rows))
    return [rows[position * len(rows) // count] for position in range(count)]


async def _search(
    source: _Source,
    options: "SearchOptions",
    rows: "Sequence[Row]",
    keep: "Callable[[PlanRow], None]",
    advance: Callable[[], None],
) -> "list[FailedRow]":
    """Searches rows, several at a time, and keeps what is found; gives the rows that failed."""
    from sim_workers.plans.beam_search import FailedRow, search_row

    slots, failed = asyncio.Semaphore(_AT_A_TIME), []

    async def search(row: "Row", score: "PlanScorer") -> None:
        async with slots:
            found = await search_row(row, options, score)
        if isinstance(found, FailedRow):
            failed.append(found)
        else:
            keep(found)
        advance()

    if rows:
        async with _scorer(source, options.reward) as score:
            await search(rows[0], score)  # fails before all others do
            await asyncio.gather(*(search(row, score) for row in rows[1:]))
    return failed


@asynccontextmanager
async def _scorer(source: _Source, reward: "RewardSpec") -> "AsyncIterator[PlanScorer]":
    if source.url is None:
        from sim_workers.plans.pool_scorer import PoolPlanScorer
        from sim_workers.pool.pool import PoolSettings, RolloutPool
        from sim_workers.states.store import StateStore

        store = StateStore.open([source.dataset])
        settings = PoolSettings(
            source.workers, None, _ROLLOUT_LIMIT_S, _MAX_HOLDERS, _MAX_HOLDER_MEMORY_MB
        )
        pool = RolloutPool(store, settings)
        try:
            await pool.start()
            yield PoolPlanScorer(pool, store, reward, source.timeout_s).score
        finally:
            await pool.close()
        return
    from reward_client import RewardClient
    from shared.wire.scoring import ScoreItem

    async with RewardClient(source.url, source.api_key) as client:

        async def ask(row: "Row", asked: "Sequence[Plan]") -> list[float]:
            place = {"state_id": row.state_id, "tls_id": row.tls_id}
            items = [ScoreItem(**place, decision=plan) for plan in asked]
            return _rewards((await client.score(items, reward, source.timeout_s)).results)

        yield ask


def _rewards(results: "Sequence[ScoreResult]") -> list[float]:
    """What a service gives plans.

    Raises:
        GreenforkError: It gives one of them none.
    """
    rewards = []
    for result in results:
        if result.status == "invalid" and result.error is not None:
            raise InvalidDecision(result.error.message, result.error.code)
        if result.status != "scored" or result.reward is None:
            raise result.error.to_error() if result.error else RolloutError("no reward")
        rewards.append(result.reward)
    return rewards


def _report(out: Path, written: int, failed: "list[FailedRow]", as_json: bool) -> None:
    if as_json:
        listed = [
            {"state_id": one.state_id, "tls_id": one.tls_id, "error": one.error.model_dump()}
            for one in failed
        ]
        print_json({"output": str(out), "rows": written, "failed": listed})
        return
    say(f"{written} decision points with candidate plans in {out}")
    for one in failed[:_MAX_LISTED]:
        where = f"{one.state_id}, signal {one.tls_id}"
        say(f"{where}: {one.error.message} [{one.error.code}]", err=True)
    if len(failed) > _MAX_LISTED:
        say(f"and {len(failed) - _MAX_LISTED} more failures", err=True)
    if written:
        say(f"Next: greenfork train offline --beam-data {out}")
