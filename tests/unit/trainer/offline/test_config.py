"""The settings of offline post-training are checked, and take their rate from the start's run."""

from pathlib import Path

import pytest
import yaml

from shared.errors import ConfigError
from trainer.grpo.config import GRPOTrainingConfig
from trainer.offline.config import OfflineConfig, rate_of_start
from trainer.settings import load_settings
from trainer.sft.config import LessonShares, SFTTrainingConfig


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"rce_epochs": 0, "grpo_epochs": 0}, "nothing to do"),
        ({"kl_coeff": 100}, "must begin between"),
        ({"kl_low": 0.5}, "kl_low .0.5. must be smaller"),
        ({"backend": "unsloth"}, "generates nothing"),
        ({"use_vllm": True}, "generates nothing"),
        ({"tau_end": 0}, "tau_end: "),
        ({"epsilon": 1}, "epsilon: "),
        ({"reward_name": "queue_gain"}, "reward_name: "),
        ({"score_weight": 0, "sequence_weight": 0, "task_weight": 0}, "are all 0"),
        ({"grpo_epoch": 1}, "did you mean 'grpo_epochs'"),
    ],
)
def test_what_makes_no_sense_is_refused(values: dict[str, object], message: str) -> None:
    """With the setting's name."""
    with pytest.raises(ConfigError, match=message):
        OfflineConfig.checked(values)


def test_the_rate_is_a_tenth_of_the_one_the_start_had(tmp_path: Path) -> None:
    """As its run's config.yaml says, beside the model or above it."""
    (tmp_path / "config.yaml").write_text("learning_rate: 0.002\nseed: 1\n")
    config = OfflineConfig(model_path=str(tmp_path / "model"))
    assert config.peak_rate == pytest.approx(2e-4)


def test_the_rate_of_another_kind_of_run_is_not_taken(tmp_path: Path) -> None:
    """GRPO's is far smaller: a tenth of it would hardly teach. What a run writes is told apart."""
    runs = {
        "grpo": GRPOTrainingConfig(learning_rate=1e-5),
        "offline": OfflineConfig(learning_rate=1e-3),
        "sft": SFTTrainingConfig(learning_rate=1e-3, source=LessonShares(reading=1)),
    }
    for name, run in runs.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.yaml").write_text(yaml.safe_dump(run.to_dict()))
    rates = {name: rate_of_start(tmp_path / name / "model") for name in runs}
    assert rates == {"grpo": None, "offline": None, "sft": 1e-3}
    after_grpo = OfflineConfig(model_path=str(tmp_path / "grpo" / "model"))
    assert after_grpo.peak_rate == pytest.approx(1e-5)
    assert after_grpo.rate_origin.startswith("a tenth of 0.0001, because there is no")


def test_a_rate_that_is_given_wins() -> None:
    """Its own over the start's."""
    assert OfflineConfig(sft_learning_rate=1e-3).peak_rate == pytest.approx(1e-4)
    given = OfflineConfig(sft_learning_rate=1e-3, learning_rate=0.5)
    assert (given.peak_rate, given.rate_origin) == (0.5, "learning_rate")


@pytest.mark.parametrize("text", [None, "- a list", "learning_rate: fast", "a: [", "seed: 1"])
def test_a_start_that_does_not_say_its_rate_has_none(tmp_path: Path, text: str | None) -> None:
    """The rate is then a tenth of 1e-4."""
    if text is not None:
        (tmp_path / "config.yaml").write_text(text)
    model = tmp_path / "run" / "model"
    assert rate_of_start(model.parent) is None
    assert OfflineConfig(model_path=str(model)).peak_rate == pytest.approx(1e-5)


def test_the_preset_validates() -> None:
    """It is named without its folder, and its rate does not depend on the start's."""
    config = load_settings(OfflineConfig, "offline-small")
    assert (config.output_dir, config.lora_rank) == ("runs/offline-small", 0)
    assert config.peak_rate == 5e-4
