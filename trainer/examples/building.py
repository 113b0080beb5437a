"""Builds a folder of examples: a pool of solved points, and scored sequences for each query."""

import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shared.decisions import Extend
from shared.errors import DatasetError
from shared.language.prompts import PromptForm
from trainer.evaluation.points import DecisionPoint, read_points
from trainer.evaluation.worth import Worth, stored_worth
from trainer.examples.solved import ExamplePool, ExamplesRecord, SolvedPoint, shown
from trainer.pointer.embeddings import write_embeddings

if TYPE_CHECKING:
    from trainer.examples.certainty import DecisionReader

__all__ = ["BuiltExamples", "ExamplesPlan", "build_examples", "load_reader"]

Solved = tuple[DecisionPoint, Worth]


@dataclass(frozen=True)
class ExamplesPlan:
    """What to build."""

    datasets: tuple[Path, ...]
    model: str
    out: Path
    pool_size: int = 64
    queries: int = 200
    length: int = 2
    beam: int = 5
    seconds: int = 16
    """Number of items tried after the first one: those that are best on their own."""
    min_gap_veh: float = 0.1
    """Points at which the decisions differ by less are neither examples nor queries."""
    prompt_form: PromptForm = "json"
    seed: int = 0


@dataclass(frozen=True)
class BuiltExamples:
    """What was built."""

    pool: int
    queries: int
    alone: float
    """Mean log-probability of the best decision without examples."""
    best: float
    """The same with each query's best sequence."""


def load_reader(path: str) -> "DecisionReader":
    """A reader for the model in a folder.

    Raises:
        ModelError: The model is missing or cannot be loaded.
    """
    from trainer.examples.certainty import DecisionReader
    from trainer.models.loading import load_model, pick_hardware
    from trainer.settings import ModelSettings

    config = ModelSettings(model_path=path, backend="transformers", lora_rank=0)
    return DecisionReader(load_model(config, pick_hardware(config)))


def build_examples(
    plan: ExamplesPlan,
    reader: "DecisionReader",
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> BuiltExamples:
    """Builds the folder ``out``.

    Args:
        plan: What to build.
        reader: The model of the plan.
        progress: Called with the number of queries done and the total.

    Raises:
        DatasetError: There are too few points, or they have no outcomes or are not about *extend*;
            or the folder is not empty.
    """
    if plan.out.exists() and any(plan.out.iterdir()):
        raise DatasetError(f"{plan.out} already exists; choose another folder", "dataset_exists")
    solved, asked = _parted(_clear(plan), plan)
    pool = [_solved(one) for one in solved]
    search = _Search(plan, reader, pool)
    beams, alone, best = dict[str, dict[str, Any]](), list[float](), list[float]()
    for number, (point, worth) in enumerate(asked):
        beams[point.place.state_id + "/" + point.place.tls_id] = found = search.of(point, worth)
        alone.append(search.alone)
        best.append(found["score_list"][0])
        progress(number + 1, len(asked))
    folder = ExamplePool(plan.out)
    plan.out.mkdir(parents=True, exist_ok=True)
    folder.write_points(pool)
    write_embeddings(folder.pool_embeddings, reader.embeddings(_questions(solved, plan)))
    vectors = reader.embeddings(_questions(asked, plan))
    write_embeddings(folder.query_embeddings, vectors, list(beams))
    folder.beams.write_text(json.dumps(beams), encoding="utf-8")
    ExamplesRecord(model=plan.model, prompt_form=plan.prompt_form, length=plan.length).write(
        plan.out
    )
    return BuiltExamples(len(pool), len(beams), sum(alone) / len(alone), sum(best) / len(best))


def _clear(plan: ExamplesPlan) -> list[Solved]:
    """The training points at which the decision matters."""
    found = []
    for point in read_points(plan.datasets, "train"):
        if point.place.decision_kind != "extend":
            raise DatasetError(f"{point.name}: examples are built for extend decisions only")
        worth = stored_worth(point.outcomes, "queue") if point.outcomes else None
        if worth is None:
            raise DatasetError(
                f"{point.name} has no outcomes: build the dataset with --outcomes", "no_outcomes"
            )
        if worth.gap_veh > plan.min_gap_veh:
            found.append((point, worth))
    return found


def _parted(points: Sequence[Solved], plan: ExamplesPlan) -> tuple[list[Solved], list[Solved]]:
    """The points of the pool, half with each answer if there are enough, and the queries."""
    order = random.Random(plan.seed)  # noqa: S311 - not for secrets
    mixed = order.sample(list(points), len(points))
    yes = [one for one in mixed if _is_yes(one[1])]
    no = [one for one in mixed if not _is_yes(one[1])]
    half = plan.pool_size // 2
    few = min(len(yes), len(no))
    picked = yes[: max(half, plan.pool_size - len(no))], no[: max(half, plan.pool_size - len(yes))]
    pool = order.sample([*picked[0], *picked[1]], min(plan.pool_size, sum(map(len, picked))))
    inside = {one[0].place for one in pool}
    rest = [one for one in mixed if one[0].place not in inside]
    if len(pool) < plan.pool_size or not rest or few == 0:
        raise DatasetError(
            f"{len(points)} clear points are too few for a pool of {plan.pool_size} and queries, "
            "or all have the same answer; build more states, or lower --pool"
        )
    return pool, rest[: plan.queries]


def _is_yes(worth: Worth) -> bool:
    best = worth.best.decision
    return isinstance(best, Extend) and best.extend


def _solved(one: Solved) -> SolvedPoint:
    point, worth = one
    found = SolvedPoint(
        text="",
        prompt=point.prompt,
        extend=_is_yes(worth),
        state_id=point.place.state_id,
        tls_id=point.place.tls_id,
    )
    text = f"{point.prompt[-1].content} -> {found.answer}"
    return found.model_copy(update={"text": text})


def _questions(points: Sequence[Solved], plan: ExamplesPlan) -> list[list[dict[str, str]]]:
    return [shown(point.prompt, (), plan.prompt_form) for point, _ in points]


class _Search:
    """Beam search over sequences of solved points.

    Args:
        plan: What to build.
        reader: The model.
        pool: The solved points.
    """

    def __init__(
        self, plan: ExamplesPlan, reader: "DecisionReader", pool: Sequence[SolvedPoint]
    ) -> None:
        self._plan = plan
        self._reader = reader
        self._pool = pool
        self.alone = 0.0
        """The log-probability of the latest query's best decision without examples."""

    def of(self, point: DecisionPoint, worth: Worth) -> dict[str, Any]:
        """The best sequences for a query, by how certain they make the model of the best decision.

        ``task_list`` is the negative regret of the decision that the model then makes.
        """
        beam: list[tuple[int, ...]] = [()]
        plan, firsts = self._plan, list(range(len(self._pool)))
        self.alone = float(self._shares(point, beam)[0, _column(worth)])
        for step in range(plan.length):
            tried = [(*one, place) for one in beam for place in firsts if place not in one]
            shares = self._shares(point, tried)
            scores = shares[:, _column(worth)].tolist()
            ranked = sorted(range(len(tried)), key=lambda number: -scores[number])
            beam = [tried[number] for number in ranked[: plan.beam]]
            if step == 0:
                firsts = [tried[number][0] for number in ranked[: plan.seconds]]
        kept = ranked[: plan.beam]
        return {
            "id_list": [list(tried[number]) for number in kept],
            "score_list": [scores[number] for number in kept],
            "task_list": [-_regret(worth, bool(shares[n, 0] >= shares[n, 1])) for n in kept],
        }

    def _shares(self, point: DecisionPoint, sequences: Sequence[tuple[int, ...]]) -> Any:  # noqa: ANN401
        prompts = [
            shown(point.prompt, [self._pool[place] for place in one], self._plan.prompt_form)
            for one in sequences
        ]
        return self._reader.yes_shares(prompts)


def _column(worth: Worth) -> int:
    return 0 if _is_yes(worth) else 1


def _regret(worth: Worth, is_yes: bool) -> float:
    """Regret of a *yes* or *no*; that of the worst decision if it was not legal."""
    regrets = [
        worth.regret(one)
        for one in worth.decisions
        if isinstance(one.decision, Extend) and one.decision.extend == is_yes
    ]
    return min(regrets, default=worth.worst_regret)
