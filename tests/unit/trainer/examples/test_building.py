"""A folder of examples: who is in the pool, who is asked, and how sequences are scored."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch

from shared.errors import DatasetError
from tests.unit.trainer.evaluation.small_dataset import Moment, save_dataset
from trainer.examples.building import ExamplesPlan, build_examples
from trainer.examples.certainty import DecisionReader
from trainer.examples.choosing import ExampleChooser, check_way
from trainer.examples.solved import ExamplePool, shown
from trainer.pointer.beams import load_beams
from trainer.pointer.embeddings import read_embeddings


class _Copycat:
    """A model that answers what its examples do, the first counting twice."""

    def yes_shares(self, prompts: Sequence[Sequence[dict[str, str]]]) -> torch.Tensor:
        """Of each prompt."""
        found = []
        for prompt in prompts:
            answers = [m["content"] for m in prompt if m["role"] == "assistant"]
            votes = [0.1 * ("yes" in text) * (2 - n) for n, text in enumerate(answers)]
            votes += [-0.1 * ("no" in text) * (2 - n) for n, text in enumerate(answers)]
            found.append([0.5 + sum(votes), 0.5 - sum(votes)])
        return torch.tensor(found).log()

    def embeddings(self, prompts: Sequence[Sequence[dict[str, str]]]) -> Any:  # noqa: ANN401
        """By length."""
        return np.asarray([[len(one[-1]["content"]), 1.0] for one in prompts], dtype=np.float32)


_READER = cast("DecisionReader", _Copycat())


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Twenty points, at half of which a yes is better; at two more nothing is at stake."""
    moments = [
        Moment(yes_veh=1.0 + number % 2, no_veh=1.5, queued=(number, 30 - number))
        for number in range(20)
    ]
    moments += [Moment(yes_veh=2.0, no_veh=2.0)] * 2
    root = save_dataset(tmp_path / "net", moments)
    (root / "eval.jsonl").replace(root / "train.jsonl")
    return root


def _plan(root: Path, **changes: Any) -> ExamplesPlan:  # noqa: ANN401
    values: dict[str, Any] = {"pool_size": 8, "seconds": 4}
    return ExamplesPlan((root,), "some-model", root.parent / "examples", **values | changes)


def test_the_pool_has_both_answers_and_no_query(root: Path) -> None:
    """What nothing is at stake in is neither."""
    built = build_examples(_plan(root), _READER)
    folder = ExamplePool(root.parent / "examples")
    pool = folder.points()
    assert (built.pool, built.queries) == (8, 12)
    assert [one.extend for one in pool].count(True) == 4
    queries = load_beams(folder.beams, len(pool))
    assert not {one.state_id + "/C" for one in pool} & {one.query_id for one in queries}
    assert len(read_embeddings(folder.pool_embeddings).vectors) == 8
    assert read_embeddings(folder.query_embeddings).ids == tuple(one.query_id for one in queries)


def test_the_best_sequences_are_those_that_lead_to_the_best_decision(root: Path) -> None:
    """By the model's certainty of it; the task figure is the regret of what it then decides."""
    build_examples(_plan(root), _READER)
    folder = ExamplePool(root.parent / "examples")
    pool = folder.points()
    for query, found in json.loads(folder.beams.read_text()).items():
        is_yes = int(query.partition("@")[2].partition("-")[0]) % 2 == 0
        assert len(found["id_list"]) == 5
        assert found["score_list"] == sorted(found["score_list"], reverse=True)
        for places in found["id_list"]:
            assert len(set(places)) == 2
            assert {pool[place].extend for place in places} == {is_yes}
        assert found["score_list"][0] == pytest.approx(float(np.log(0.8)))
        assert found["task_list"] == [0.0] * 5


def test_examples_stand_before_the_question(root: Path) -> None:
    """The system message first; each with its answer; in words where the question is."""
    build_examples(_plan(root), _READER)
    pool = ExamplePool(root.parent / "examples").points()
    found = shown(pool[0].prompt, [pool[1], pool[2]], "json")
    assert [one["role"] for one in found] == ["system", *["user", "assistant"] * 2, "user"]
    assert found[1]["content"] == pool[1].prompt[-1].content
    assert found[2]["content"] == pool[1].answer
    assert found[-1]["content"] == pool[0].prompt[-1].content
    words = shown(pool[0].prompt, [pool[1]], "words")
    assert "{" not in words[1]["content"] + words[-1]["content"]


def test_random_examples_never_tell_the_answer(root: Path) -> None:
    """A point of the pool is not shown to itself; the seed says which are drawn."""
    from trainer.evaluation.points import read_points

    build_examples(_plan(root), _READER)
    points = read_points((root,), "train")
    folder = root.parent / "examples"
    drawn = ExampleChooser("random", folder, seed=3).prompts(points)
    assert drawn == ExampleChooser("random", folder, seed=3).prompts(points)
    assert drawn != ExampleChooser("random", folder, seed=4).prompts(points)
    for prompt in drawn:
        questions = [m["content"] for m in prompt if m["role"] == "user"]
        assert len(questions) == len(set(questions))


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"pool_size": 40}, "too few for a pool of 40"), ({"min_gap_veh": 9}, "0 clear points")],
)
def test_what_cannot_be_built_is_refused(root: Path, changes: dict[str, Any], message: str) -> None:
    """With what there is; so is a folder that is not empty."""
    with pytest.raises(DatasetError, match=message):
        build_examples(_plan(root, **changes), _READER)
    (root.parent / "examples").mkdir()
    (root.parent / "examples" / "x").touch()
    with pytest.raises(DatasetError, match="already exists"):
        build_examples(_plan(root), _READER)


def test_ways_to_choose_are_known() -> None:
    """Another word is refused with those that there are."""
    assert [check_way(way) for way in ("none", "nearest", "pointer:x")] == [
        "none",
        "nearest",
        "pointer:x",
    ]
    for way in ("best", "pointer:", "pointer"):
        with pytest.raises(Exception, match="use none, random, nearest or pointer"):
            check_way(way)
