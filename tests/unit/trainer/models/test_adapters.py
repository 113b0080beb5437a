"""An adapter finds the model that it was trained on, or says that it does not."""

import json
import shutil
from pathlib import Path

import pytest

from shared.errors import ModelError
from trainer.models.adapters import AdapterBase, find_base, fingerprint, record_base


def save_model(folder: Path, weights: bytes) -> Path:
    """What tells a model apart."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(weights)
    return folder


def save_adapter(folder: Path, base: Path | str, is_recorded: bool = True) -> Path:
    """An adapter as a run saves it."""
    folder.mkdir(parents=True)
    (folder / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": str(base)}))
    (folder / "adapter_model.safetensors").write_bytes(b"adapter")
    if is_recorded:
        record_base(folder)
    return folder


@pytest.fixture(autouse=True)
def _no_prepared_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of this machine are no business of a test."""
    monkeypatch.setenv("GREENFORK_CACHE_DIR", str(tmp_path / "cache"))


def test_base_lies_where_it_was(tmp_path: Path) -> None:
    """The digest and the whole path are kept beside the adapter."""
    base = save_model(tmp_path / "base", b"one")
    adapter = save_adapter(tmp_path / "run" / "adapter", base)
    record = AdapterBase.model_validate_json((adapter / "base.json").read_bytes())
    assert (record.fingerprint, record.path) == (fingerprint(base), str(base))
    assert find_base(adapter) == base


def test_other_model_of_the_same_name_is_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a path was relative, and where one model has taken the place of another."""
    there, here = tmp_path / "there", tmp_path / "far" / "away" / "from" / "it" / "here"
    save_model(there / "base", b"one")
    save_model(here / "base", b"two")
    monkeypatch.chdir(there)
    adapter = save_adapter(there / "run" / "adapter", "base")
    monkeypatch.chdir(here)
    assert find_base(adapter) == there / "base"
    shutil.rmtree(there / "base")
    with pytest.raises(ModelError, match=r"neither there nor near.*--base"):
        find_base(adapter)
    save_model(there / "base", b"two")
    with pytest.raises(ModelError, match=r"digest"):
        find_base(adapter)


@pytest.mark.parametrize("place", ["moved/start", "moved/models/mine", "base-2", "cache/models/m"])
def test_base_is_found_by_its_digest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    """Beside the adapter, near it, here, and among the prepared models."""
    base = save_model(tmp_path / "base", place.encode())
    adapter = save_adapter(tmp_path / "run" / "adapter", base)
    moved = tmp_path / "moved" / "adapter"
    moved.parent.mkdir()
    adapter.rename(moved)
    shutil.move(base, tmp_path / "x")
    (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
    shutil.move(tmp_path / "x", tmp_path / place)
    monkeypatch.chdir(tmp_path)
    assert find_base(moved).resolve() == tmp_path / place


def test_base_that_is_named_has_to_be_the_one(tmp_path: Path) -> None:
    """An adapter on another model answers, and means nothing."""
    base, other = save_model(tmp_path / "base", b"one"), save_model(tmp_path / "other", b"two")
    adapter = save_adapter(tmp_path / "adapter", base)
    copy = tmp_path / "copy"
    shutil.copytree(base, copy)
    assert find_base(adapter, str(copy)) == copy
    with pytest.raises(ModelError, match=rf"not trained on --base {other}"):
        find_base(adapter, str(other))
    with pytest.raises(ModelError, match="contains no model"):
        find_base(adapter, str(tmp_path))


def test_adapter_of_others_is_believed_where_it_cannot_be_misread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a whole path; a relative one, or a name on a hub, may be another model here."""
    base = save_model(tmp_path / "base", b"one")
    assert find_base(save_adapter(tmp_path / "a", base, is_recorded=False)) == base
    monkeypatch.chdir(tmp_path)
    for name in ("base", "org/base", str(tmp_path / "gone")):
        adapter = save_adapter(tmp_path / f"on-{Path(name).name}-{len(name)}", name, False)
        with pytest.raises(ModelError, match="--base"):
            find_base(adapter)
        assert find_base(adapter, str(base)) == base


def test_digest_of_an_adapter_does_not_depend_on_where_its_base_is(tmp_path: Path) -> None:
    """A run that began from it is resumed elsewhere."""
    base = save_model(tmp_path / "base", b"one")
    adapter = save_adapter(tmp_path / "adapter", base)
    before = fingerprint(adapter)
    shutil.rmtree(base)
    assert fingerprint(adapter) == before
