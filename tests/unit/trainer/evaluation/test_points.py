"""Decision points out of dataset folders."""

import json
from pathlib import Path

import pytest

from shared.dataset import DatasetLayout
from shared.errors import DatasetError
from tests.unit.trainer.evaluation.small_dataset import SIGNAL, Moment, save_dataset
from trainer.evaluation.points import read_points, vehicles_on_lanes


def test_reads_what_is_needed(tmp_path: Path) -> None:
    """Of the row, of the state's record, and of the manifest."""
    moments = [Moment(difficulty=0.9), Moment(run="seed2-scale1.3")]
    root = save_dataset(tmp_path / "net", moments, extend_s=7, horizon_s=30)
    first, second = read_points([root], "eval")
    assert (first.domain, first.difficulty) == ("net", "0.67-1.00")
    assert (first.extend_s, first.horizon_s) == (7, 30)
    assert (first.run, second.run) == (f"{root}/seed1", f"{root}/seed2-scale1.3")
    assert first.greens is not None
    assert list(first.greens) == [0, 2]
    assert first.greens[0] == SIGNAL.programs["0"].phases[0]
    assert first.state_file.is_file()


def test_runs_of_two_datasets_are_different_runs(tmp_path: Path) -> None:
    """Even if they have the same name; a state that both have is taken once."""
    roots = [save_dataset(tmp_path / name, [Moment()], name) for name in ("a", "b")]
    copy = save_dataset(tmp_path / "c", [Moment()], "a")
    points = read_points([*roots, copy], "eval")
    assert [point.run for point in points] == [f"{root}/seed1" for root in roots]


def test_takes_the_split_that_is_asked_for(tmp_path: Path) -> None:
    """One of them, or both."""
    root = save_dataset(tmp_path / "net", [Moment(), Moment()])
    layout = DatasetLayout(root)
    first, second = layout.rows("eval").read_text().splitlines(keepends=True)
    layout.rows("train").write_text(first)
    layout.rows("eval").write_text(second)
    found = [
        [point.place.state_id.partition("-")[0] for point in read_points([root], split)]
        for split in ("eval", "train", "all")
    ]
    assert found == [["net@1"], ["net@0"], ["net@0", "net@1"]]


def test_reads_parquet(tmp_path: Path) -> None:
    """Where every row has the keys of all, those that it lacks as nulls."""
    from datasets import Dataset

    root = save_dataset(tmp_path / "net", [Moment(), Moment(more={"speed_mps": 3.0})])
    as_jsonl = read_points([root], "eval")
    file = DatasetLayout(root).rows("eval")
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    Dataset.from_list(rows).to_parquet(file.with_suffix(".parquet"))
    file.unlink()
    assert read_points([root], "eval") == as_jsonl


def test_difficulties_of_others_are_kept(tmp_path: Path) -> None:
    """A name for how hard it is stays; rows without any have none."""
    root = save_dataset(tmp_path / "net", [Moment(), Moment()])
    file = DatasetLayout(root).rows("eval")
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    rows[0]["difficulty"] = "hard"
    del rows[1]["difficulty"]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert [point.difficulty for point in read_points([root], "eval")] == ["hard", None]


class TestRefusals:
    """What is no dataset, and says so."""

    def test_folder_is_none(self, tmp_path: Path) -> None:
        """The folder is named."""
        with pytest.raises(DatasetError, match=rf"{tmp_path} is not a dataset: .*manifest"):
            read_points([tmp_path], "eval")

    def test_split_is_empty(self, tmp_path: Path) -> None:
        """With the way out."""
        root = save_dataset(tmp_path / "net", [Moment()])
        with pytest.raises(DatasetError, match=r"no rows in the split 'train'.*--split all"):
            read_points([root], "train")

    @pytest.mark.parametrize(
        ("key", "value", "message"),
        [
            ("outcomes", [{"decision": {"kind": "fly"}}], r"eval.jsonl, row 1: outcomes.0"),
            ("scenario", None, r"row 1: scenario: Field required"),
            ("tls_id", None, r"row 1: missing column\(s\) tls_id"),
            ("state_id", "net@5-aa", r"index.jsonl does not list net@5-aa"),
        ],
    )
    def test_row_is_wrong(self, tmp_path: Path, key: str, value: object, message: str) -> None:
        """The file, the row and the column are named."""
        root = save_dataset(tmp_path / "net", [Moment()])
        file = DatasetLayout(root).rows("eval")
        file.write_text(json.dumps({**json.loads(file.read_text()), key: value}) + "\n")
        with pytest.raises(DatasetError, match=message):
            read_points([root], "eval")

    def test_index_is_missing(self, tmp_path: Path) -> None:
        """Nobody could tell which run a state is from."""
        root = save_dataset(tmp_path / "net", [Moment()])
        DatasetLayout(root).index.unlink()
        with pytest.raises(DatasetError, match="is not a dataset"):
            read_points([root], "eval")


def test_lanes_of_a_state(tmp_path: Path) -> None:
    """Vehicles are counted lane by lane; names are XML."""
    file = tmp_path / "state.xml"
    file.write_text(
        '<snapshot version="0">\n<lane id="a&amp;b_0">\n  <vehicles value="x y z"/>\n</lane>\n'
        '<lane id=":c_0_0"><vehicles value="w"/></lane>\n<vehicle id="x"/></snapshot>'
    )
    assert vehicles_on_lanes(file) == {"a&b_0": 3, ":c_0_0": 1}


def test_a_state_that_is_none(tmp_path: Path) -> None:
    """Missing, or something else: never an empty road."""
    with pytest.raises(DatasetError, match="cannot read the state file"):
        vehicles_on_lanes(tmp_path / "state.xml")
    (tmp_path / "state.xml").write_text("<net/>")
    with pytest.raises(DatasetError, match="is not a SUMO state"):
        vehicles_on_lanes(tmp_path / "state.xml")
