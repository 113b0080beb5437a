"""What GRPO finds wrong before anything is loaded."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from shared.errors import (
    ConfigError,
    DatasetError,
    ModelError,
    ServiceRefused,
    ServiceUnreachable,
)
from shared.scoring import ScoreItem, ScoreRequest, ScoreResult
from tests.integration.trainer.small_service import SmallService, failing, running, yes_is_better
from trainer import GRPOTrainingConfig, train_grpo
from trainer.preflight import check_run

Settings = Callable[..., GRPOTrainingConfig]

NOBODY = "http://127.0.0.1:9"
"""The discard port: nothing listens there."""


def test_reward_url_does_not_answer(settings: Settings) -> None:
    """The URL is in the message, with what to do."""
    with pytest.raises(ServiceUnreachable, match=r"127\.0\.0\.1:9.*greenfork serve"):
        train_grpo(settings(NOBODY))


def test_vllm_server_does_not_answer(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """The URL of that server is in the message, not only what the library says."""

    def unreachable(**_: object) -> None:
        raise ConnectionError("can't be reached")

    monkeypatch.setattr("trainer.loop.rewarded_trainer", lambda scorer: unreachable)
    config = settings("", vllm_server_url="http://gpu-box:8001")
    with running(SmallService(yes_is_better)) as url:
        there = config.model_copy(update={"reward_url": url})
        with pytest.raises(ServiceUnreachable, match=r"no vLLM server .*gpu-box:8001; start"):
            train_grpo(there)


def test_service_cannot_score_the_dataset(settings: Settings) -> None:
    """A service that fails the first row is refused at once."""

    def failed(item: ScoreItem, request: ScoreRequest) -> ScoreResult:
        as_completion = ScoreItem(
            state_id=item.state_id, tls_id="A", decision_kind="extend", completion=""
        )
        return failing(as_completion, request)

    with running(SmallService(failed)) as url, pytest.raises(ServiceRefused, match="first row"):
        train_grpo(settings(url))


@pytest.mark.parametrize("path", ["/nowhere", "some/hub-name"])
def test_model_path_does_not_exist(settings: Settings, path: str) -> None:
    """A path that is none is not looked up anywhere else."""
    with pytest.raises(ModelError, match="no model at"):
        train_grpo(settings(NOBODY, model_path=path))


def test_model_folder_without_a_model(settings: Settings, tmp_path: Path) -> None:
    """A folder that holds something else is named."""
    with pytest.raises(ModelError, match="holds no model"):
        train_grpo(settings(NOBODY, model_path=str(tmp_path)))


def test_dataset_file_is_none(settings: Settings, tmp_path: Path) -> None:
    """A picture called JSONL is not a dataset."""
    file = tmp_path / "picture.jsonl"
    file.write_bytes(b"\x89PNG\r\n\x1a\n")
    with pytest.raises(DatasetError, match=r"picture\.jsonl is not a jsonl dataset"):
        train_grpo(settings(NOBODY, dataset_path=str(file)))


def test_prompts_too_long(settings: Settings) -> None:
    """Where no prompt fits, the run does not start."""
    with (
        running(SmallService(yes_is_better)) as url,
        pytest.raises(DatasetError, match="longer than"),
    ):
        train_grpo(settings(url, max_seq_length=32, max_new_tokens=31))


def test_fewer_rows_than_a_step_takes(settings: Settings) -> None:
    """Not a run of no steps that reports success."""
    with (
        running(SmallService(yes_is_better)) as url,
        pytest.raises(DatasetError, match=r"a step takes 100 prompts and the dataset has"),
    ):
        train_grpo(settings(url, batch_size=400))


def test_nothing_to_resume_from(settings: Settings) -> None:
    """``latest`` without a checkpoint is an error, not a new run."""
    with pytest.raises(ConfigError, match="no checkpoint"):
        train_grpo(settings(NOBODY, resume_from_checkpoint="latest"))


def test_checkpoint_of_another_model(settings: Settings, tiny_llama: Path, tmp_path: Path) -> None:
    """Of the same shape, on the same base: both models are named, nothing is trained."""
    other = tmp_path / "other"
    with running(SmallService(yes_is_better)) as url:
        first = train_grpo(settings(url, max_steps=2))
        start = str(first.files.merged)
        config = settings(url, model_path=start, resume_from_checkpoint="latest")
        with pytest.raises(ConfigError, match=rf"model '{tiny_llama}', .* is '{start}'"):
            train_grpo(config)
        shutil.copytree(tiny_llama, other)
        moved = settings(url, model_path=str(other), resume_from_checkpoint="latest")
        assert train_grpo(moved).steps == 4, "the same model in another place"


def test_seconds_that_the_prompts_do_not_say(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Prompts about 10 s cannot be trained with decisions of 5 s."""
    monkeypatch.setattr("trainer.preflight.prompt_extend_s", lambda path: 10)
    with pytest.raises(ConfigError, match="set extend_seconds: 10"):
        check_run(settings(NOBODY))
