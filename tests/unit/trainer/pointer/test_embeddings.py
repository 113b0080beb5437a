"""Embeddings are read from three kinds of files, without pickles, and find their queries."""

import json
from pathlib import Path

import numpy as np
import pytest

from shared.errors import DatasetError
from trainer.pointer.embeddings import Embeddings, read_embeddings, rows_of_queries

_VECTORS = np.asarray([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], dtype=np.float32)
_IDS = ["x", "y", "z"]


def _write(file: Path) -> None:
    match file.suffix:
        case ".npz":
            np.savez(file, embeddings=_VECTORS, ids=np.asarray(_IDS))
        case ".safetensors":
            from safetensors.numpy import save_file

            save_file({"embeddings": _VECTORS}, file, {"ids": json.dumps(_IDS)})
        case ".parquet":
            import pyarrow
            import pyarrow.parquet

            columns = {"id": _IDS, "embedding": _VECTORS.tolist()}
            pyarrow.parquet.write_table(pyarrow.table(columns), file)


@pytest.mark.parametrize("suffix", [".npz", ".safetensors", ".parquet"])
def test_each_kind_of_file_holds_vectors_and_names(tmp_path: Path, suffix: str) -> None:
    """The same ones, whatever the file."""
    _write(file := tmp_path / f"some{suffix}")
    found = read_embeddings(file).checked()
    assert found.vectors.tolist() == _VECTORS.tolist()
    assert found.ids == ("x", "y", "z")


def test_one_array_alone_needs_no_name(tmp_path: Path) -> None:
    """Two do: which one is meant is not guessed."""
    np.savez(tmp_path / "one.npz", whatever=_VECTORS)
    assert read_embeddings(tmp_path / "one.npz").ids is None
    np.savez(tmp_path / "two.npz", a=_VECTORS, b=_VECTORS)
    with pytest.raises(DatasetError, match="has a, b; name it embeddings"):
        read_embeddings(tmp_path / "two.npz")


def test_a_pickle_is_not_opened(tmp_path: Path) -> None:
    """Loading one would run what a stranger wrote."""
    np.savez(tmp_path / "bad.npz", embeddings=np.asarray([{"a": 1}], dtype=object))
    with pytest.raises(DatasetError, match=r"does not contain embeddings: .*allow_pickle"):
        read_embeddings(tmp_path / "bad.npz")


@pytest.mark.parametrize(
    ("name", "content"),
    [("a.npz", b"no zip"), ("a.safetensors", b"x"), ("a.parquet", b"x"), ("a.txt", b"1 2")],
)
def test_another_file_is_refused(tmp_path: Path, name: str, content: bytes) -> None:
    """With its name; so is one that does not exist."""
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DatasetError, match=name):
        read_embeddings(tmp_path / name)
    with pytest.raises(DatasetError, match="no embeddings at"):
        read_embeddings(tmp_path / "gone.npz")


def test_a_number_that_is_none_is_found(tmp_path: Path) -> None:
    """By its row."""
    vectors = _VECTORS.copy()
    vectors[1, 1] = np.nan
    np.savez(tmp_path / "nan.npz", vectors)
    with pytest.raises(DatasetError, match="row 1: contains NaN") as caught:
        read_embeddings(tmp_path / "nan.npz").checked()
    assert caught.value.code == "not_finite"


def test_queries_have_their_rows() -> None:
    """By name; without names by number, or in order if there are as many."""
    named = Embeddings(_VECTORS, ("x", "y", "z"), "here")
    assert rows_of_queries(named, ["z", "x"]) == [2, 0]
    plain = Embeddings(_VECTORS, None, "here")
    assert rows_of_queries(plain, ["2", "0"]) == [2, 0]
    assert rows_of_queries(plain, ["a", "b", "c"]) == [0, 1, 2]


@pytest.mark.parametrize(
    ("ids", "queries", "message"),
    [(("x", "y", "z"), ["x", "w"], "no embedding of the query 'w'"), (None, ["a", "b"], "3 emb")],
)
def test_queries_without_rows_are_refused(
    ids: tuple[str, ...] | None, queries: list[str], message: str
) -> None:
    """Nothing is paired by chance."""
    with pytest.raises(DatasetError, match=message) as caught:
        rows_of_queries(Embeddings(_VECTORS, ids, "here"), queries)
    assert caught.value.code == "embeddings_length"


def test_names_of_another_number_than_the_vectors_are_refused(tmp_path: Path) -> None:
    """Which vector is whose would be a guess."""
    np.savez(tmp_path / "few.npz", embeddings=_VECTORS, ids=np.asarray(_IDS[:2]))
    with pytest.raises(DatasetError, match="2 ids for 3 embeddings") as caught:
        read_embeddings(tmp_path / "few.npz")
    assert caught.value.code == "embeddings_length"
