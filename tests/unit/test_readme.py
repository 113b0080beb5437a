"""The README's Python examples use names that exist, as they may be used."""

import re
from pathlib import Path
from types import SimpleNamespace

import pytest

import greenfork
from trainer import GRPOTrainingConfig

README = (Path(__file__).parents[2] / "README.md").read_text()


def test_training_example(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It makes the settings of a run and prints where the adapter is; nothing is trained here."""
    code = re.search(r"^```python train\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)
    assert code is not None
    given: list[GRPOTrainingConfig] = []

    def train_grpo(config: GRPOTrainingConfig) -> SimpleNamespace:
        given.append(config)
        return SimpleNamespace(steps=10, files=SimpleNamespace(adapter=config.output_dir))

    monkeypatch.setattr(greenfork, "train_grpo", train_grpo, raising=False)
    exec(compile(code[1], "README.md", "exec"), {})  # noqa: S102
    (config,) = given
    assert (config.reward_url, config.max_steps) == ("http://127.0.0.1:8000", 10)
    assert capsys.readouterr().out == f"10 {config.output_dir}\n"
