"""Which model a checkpoint goes on from: told apart by weights, wherever the files are."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from shared.errors import ConfigError
from trainer.runs.origin import ModelOrigin, check_origin, fingerprint
from trainer.settings import RunSettings

Make = Callable[..., Path]

SHAPE = {"model_type": "llama", "hidden_size": 8, "num_hidden_layers": 1, "vocab_size": 9}


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Makes a folder with what tells models and checkpoints apart."""

    def folder(name: str, weights: bytes = b"", **files: object) -> Path:
        path = tmp_path / name
        path.mkdir()
        for stem, values in files.items():
            (path / f"{stem}.json").write_text(json.dumps(values))
        if weights:
            (path / "model.safetensors").write_bytes(weights)
        return path

    return folder


def _settings(model: Path, rank: int = 4, alpha: int = 8) -> RunSettings:
    return RunSettings(model_path=str(model), lora_rank=rank, lora_alpha=alpha)


@pytest.mark.parametrize("place", [0, 9_999_999, 19_999_999])
def test_models_differ_by_their_weights(make: Make, place: int) -> None:
    """At the beginning, in the middle and at the end of a large file, as training changes them."""
    weights = bytearray(20_000_000)
    before = fingerprint(make("a", bytes(weights)))
    weights[max(0, place - 200_000) : place + 200_000] = b"x" * len(
        weights[max(0, place - 200_000) : place + 200_000]
    )
    assert fingerprint(make("b", bytes(weights))) != before


def test_copies_are_the_same_model(make: Make, tmp_path: Path) -> None:
    """A run may be moved."""
    model = make("here", b"weights", config=SHAPE)
    shutil.copytree(model, tmp_path / "there")
    assert fingerprint(tmp_path / "there") == fingerprint(model)


def test_what_is_under_an_adapter_counts(make: Make) -> None:
    """The same adapter on top of another base is another model."""
    bases = [make(name, name.encode(), config=SHAPE) for name in ("one", "two")]
    adapters = [
        make(f"on-{base.name}", b"same", adapter_config={"base_model_name_or_path": str(base)})
        for base in bases
    ]
    assert fingerprint(adapters[0]) != fingerprint(adapters[1])


def test_own_checkpoint(make: Make) -> None:
    """Of the same model and adapter, passes; of another model, rank or scale, both are named."""
    model, other = make("model", b"1", config=SHAPE), make("other", b"2", config=SHAPE)
    checkpoint = make("checkpoint-3")
    ModelOrigin.of(_settings(model)).write(checkpoint)
    check_origin(checkpoint, _settings(model))
    with pytest.raises(ConfigError, match=rf"checkpoint-3 .*'{model}', but .*'{other}'"):
        check_origin(checkpoint, _settings(other))
    with pytest.raises(ConfigError, match="an adapter of rank 4, but lora_rank is 0"):
        check_origin(checkpoint, _settings(model, rank=0))
    with pytest.raises(ConfigError, match="set lora_alpha: 8"):
        check_origin(checkpoint, _settings(model, alpha=16))


def test_checkpoint_of_something_else(make: Make) -> None:
    """Without our file, by the adapter's base, its rank, or the shape of the whole model."""
    model, other = make("model", b"1", config=SHAPE), make("other", b"2", config=SHAPE)
    adapter = make("a", adapter_config={"base_model_name_or_path": str(model), "r": 4})
    check_origin(adapter, _settings(model))
    with pytest.raises(ConfigError, match=rf"'{model}', but model_path is '{other}'"):
        check_origin(adapter, _settings(other))
    with pytest.raises(ConfigError, match="set lora_rank: 4"):
        check_origin(adapter, _settings(model, rank=8))
    whole = make("w", config=SHAPE | {"hidden_size": 16})
    with pytest.raises(ConfigError, match="all weights, no adapter"):
        check_origin(whole, _settings(model))
    with pytest.raises(ConfigError, match=r"hidden_size 16, .*but model_path"):
        check_origin(whole, _settings(model, rank=0))
