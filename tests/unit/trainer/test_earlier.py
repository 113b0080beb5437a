"""What users of the earlier scripts paste: names, keywords, keys, tensors and rows."""

import json
import os
from pathlib import Path

import pytest
import torch
import yaml
from structlog.testing import capture_logs

import trainer.earlier
from shared.errors import ConfigError, DatasetError
from trainer.offline import (
    OfflineConfig,
    clip_advantages,
    compute_softmax_weights,
    normalize_rewards_zscore,
)


@pytest.fixture(autouse=True)
def _nothing_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test sees its own notes."""
    monkeypatch.setattr(trainer.earlier, "_noted", set())


def test_the_import_line_of_the_signal_control_script_works() -> None:
    """And so does what the curriculum's users import."""
    from trainer import (
        SYSTEM_PROMPT,
        GRPOTrainingConfig,
        get_curriculum_weights,
        load_config,
        load_grpo_dataset,
        main,
        parse_args,
        train_grpo,
    )

    assert get_curriculum_weights(0, 10) == {"easy": 0.7, "medium": 0.25, "hard": 0.05}
    assert '{"extend": "yes"}' in SYSTEM_PROMPT
    assert all(map(callable, (load_config, load_grpo_dataset, main, train_grpo)))
    args = parse_args(["--config", "c.yaml", "--num-epochs", "2", "--batch_size", "4"])
    assert (args.config, args.num_train_epochs, args.batch_size) == ("c.yaml", 2.0, 4)
    assert GRPOTrainingConfig.from_yaml is not None


def test_a_configuration_of_the_earlier_script_is_read(tmp_path: Path) -> None:
    """``max_workers`` is the service's business now, which is said once."""
    from trainer import load_config

    keys = {"learning_rate": 1e-5, "num_generations": 4, "max_workers": 4, "extend_seconds": 5}
    (file := tmp_path / "old.yaml").write_text(yaml.safe_dump(keys))
    with capture_logs() as logged:
        config = load_config(file, {"dataset_path": "d"})
        load_config(file, {"dataset_path": "d"})
    assert config.num_generations == 4
    (note,) = [line for line in logged if line.get("name") == "max_workers"]
    assert "the service has the workers" in note["today"]


def test_a_run_is_named_where_trackers_look(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the settings; the environment is left alone where these say nothing."""
    from trainer import GRPOTrainingConfig
    from trainer.environment import name_project
    from trainer.models.loading import Hardware
    from trainer.runs.arguments import grpo_arguments

    monkeypatch.setenv("WANDB_PROJECT", "mine")
    monkeypatch.delenv("WANDB_ENTITY", raising=False)
    name_project(None, None)
    assert os.environ["WANDB_PROJECT"] == "mine"
    assert "WANDB_ENTITY" not in os.environ
    name_project("lights", "us")
    assert (os.environ["WANDB_PROJECT"], os.environ["WANDB_ENTITY"]) == ("lights", "us")
    monkeypatch.delenv("WANDB_PROJECT")
    name_project(None, None)
    assert os.environ["WANDB_PROJECT"] == "greenfork"
    given = {"wandb_project": "lights", "run_name": "first", "top_k": 20, "min_p": 0.05}
    config = GRPOTrainingConfig.checked(given | {"output_dir": "runs/x"})
    found = grpo_arguments(config, Hardware("cpu", is_bf16=False, backend="transformers"))
    assert (found.project, found.run_name) == ("lights", "first")
    assert (found.top_k, found.min_p) == (20, 0.05)


def test_stop_is_vllms() -> None:
    """As a parameter of its sampling; nothing else stops at texts."""
    from trainer import load_config
    from trainer.runs.arguments import _generation

    config = load_config(None, {"use_vllm": True, "stop": ["}"]})
    assert _generation(config)["generation_kwargs"] == {"stop": ["}"]}
    with pytest.raises(ConfigError, match="stop needs use_vllm"):
        load_config(None, {"stop": ["}"]})


def test_the_curriculum_scripts_keys_are_todays() -> None:
    """As settings, too; a setting is not set by both names."""
    from trainer import load_config

    given = {"base_model": "m", "data_root": "d", "beta": 0.05, "use_gradient_checkpointing": True}
    config = load_config(None, given)
    assert (config.model_path, config.dataset_path, config.kl_coeff) == ("m", "d", 0.05)
    assert config.gradient_checkpointing
    with pytest.raises(ConfigError, match="kl_coeff is set twice"):
        load_config(None, {"beta": 0.1, "kl_coeff": 0.1})


def test_the_post_training_scripts_keys_are_todays() -> None:
    """Each is another name of one that there is, and is said."""
    given = {
        "rce_temperature_start": 1.5,
        "rce_temperature_end": 0.6,
        "rce_lr_ratio": 0.2,
        "clip_epsilon": 0.3,
        "kl_beta": 0.2,
        "kl_target_max": 0.5,
        "kl_target_min": 0.05,
        "gradient_clip_norm": 2.0,
        "warmup_ratio": 0.05,
        "lr_scheduler": "linear",
    }
    with capture_logs() as logged:
        config = OfflineConfig.checked(given | {"beam_data": "b", "sft_learning_rate": 1e-3})
    assert {line["name"] for line in logged} == set(given)
    assert (config.tau_start, config.tau_end, config.epsilon) == (1.5, 0.6, 0.3)
    assert (config.kl_coeff, config.kl_high, config.kl_low) == (0.2, 0.5, 0.05)
    assert (config.max_grad_norm, config.warmup_share) == (2.0, 0.05)
    assert config.lr_scheduler_type == "linear"
    assert config.peak_rate == pytest.approx(2e-4)


def test_the_formulas_take_tensors_of_any_batch_shape() -> None:
    """The last axis is a group; lists give lists as before, with the same numbers."""
    scores = torch.tensor([[0.046, 0.045, 0.037, 0.035, 0.030]])
    found = normalize_rewards_zscore(scores)
    assert found.shape == scores.shape
    assert found[0].tolist() == pytest.approx(normalize_rewards_zscore(scores[0].tolist()))
    assert float(found.mean()) == pytest.approx(0, abs=1e-6)
    clipped = clip_advantages(torch.tensor([[-10.0, 5.0, 0.0, 3.0, 8.0]]))
    assert clipped.tolist() == [[-5.0, 5.0, 0.0, 3.0, 5.0]]
    weights = compute_softmax_weights(found, temperature=2.0)
    assert weights[0].tolist() == pytest.approx(compute_softmax_weights(found[0].tolist(), 2.0))
    many = torch.tensor([[[1.0, 3.0], [2.0, 2.0]], [[0.0, 1.0], [5.0, 4.0]]])
    assert normalize_rewards_zscore(many).tolist() == [[[-1, 1], [0, 0]], [[-1, 1], [1, -1]]]
    assert compute_softmax_weights(many, 1.0).sum(-1).tolist() == [[1, 1], [1, 1]]


@pytest.mark.parametrize("temperature", [0.0, -1.0, float("nan")])
def test_a_temperature_that_is_none_is_refused(temperature: float) -> None:
    """By either name; and so is none at all, or both."""
    with pytest.raises(ValueError, match="must be above 0"):
        compute_softmax_weights(torch.ones(2), temperature=temperature)
    with pytest.raises(ValueError, match="needs tau, once"):
        compute_softmax_weights([1.0, 2.0])
    with pytest.raises(ValueError, match="needs tau, once"):
        compute_softmax_weights([1.0, 2.0], 1.0, temperature=1.0)


def test_earlier_rows_are_rows(tmp_path: Path) -> None:
    """A text prompt is asked for JSON; names of columns are today's; the keyword is understood."""
    from trainer import SYSTEM_PROMPT, load_grpo_dataset

    row = {
        "prompt": "12 cars wait in the north. Extend?",
        "id": "row-1",
        "scenario": "crossing",
        "junction_id": "C",
        "state_file": "states/crossing@100-abc.xml",
        "current_green_elapsed": 10,
        "min_green": 5,
        "max_green": 60,
    }
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "grpo_dataset.json").write_text(json.dumps([row]))
    with capture_logs() as logged:
        (found,) = load_grpo_dataset(dataset_path=tmp_path).to_list()
    assert found["prompt"] == [
        {"role": "system", "content": SYSTEM_PROMPT},
        {"role": "user", "content": row["prompt"]},
    ]
    assert (found["tls_id"], found["elapsed_green_s"], found["id"]) == ("C", 10, "row-1")
    assert [line["name"] for line in logged] == ["dataset_path"]
    for wrong in ((), (tmp_path, tmp_path)):
        with pytest.raises(TypeError, match="one path"):
            load_grpo_dataset(*wrong[:1], dataset_path=wrong[1] if wrong else None)


def test_a_row_without_a_signal_says_so(tmp_path: Path) -> None:
    """Which signal is meant is not guessed from a file name."""
    from trainer import load_grpo_dataset

    (file := tmp_path / "rows.json").write_text('[{"prompt": "?", "state_file": "a.xml"}]')
    with pytest.raises(DatasetError, match="missing column"):
        load_grpo_dataset(file)


@pytest.mark.parametrize("arguments", [["--config", "gone.yaml"], ["--config", "cpu-demo"]])
def test_the_module_runs_as_a_command(
    arguments: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is wrong is one line and status 2, before anything is loaded."""
    from trainer.command import run

    monkeypatch.setattr("sys.argv", ["trainer", *arguments, "--dataset_path", "gone"])
    assert run() == 2
    assert capsys.readouterr().err.startswith("trainer: ")
