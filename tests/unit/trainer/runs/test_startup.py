"""What a run goes on from, and where its metrics go."""

import os
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from shared.errors import ConfigError
from tests.unit.trainer.whole_checkpoint import save_whole_checkpoint
from trainer.environment import check_report_to, stay_offline
from trainer.runs.startup import checkpoint_of, steps_before, warn_of_warmup


def _save(root: Path, *steps: int) -> None:
    for step in steps:
        save_whole_checkpoint(root / f"checkpoint-{step}", step)


def test_the_latest_checkpoint_is_that_of_the_most_steps(tmp_path: Path) -> None:
    """By number, not by name; a folder that is none is passed over."""
    _save(tmp_path, 50, 100, 9)
    (tmp_path / "checkpoint-200").mkdir()
    (tmp_path / "checkpoint-best").mkdir()

    assert checkpoint_of("latest", str(tmp_path)) == tmp_path / "checkpoint-100"


def test_a_run_that_is_not_resumed_has_no_checkpoint(tmp_path: Path) -> None:
    """In a folder that is not there yet, or without a whole checkpoint."""
    assert checkpoint_of(None, str(tmp_path / "new")) is None
    (tmp_path / "checkpoint-50").mkdir()
    assert checkpoint_of(None, str(tmp_path)) is None


def test_a_run_does_not_start_among_the_checkpoints_of_another(tmp_path: Path) -> None:
    """Later, ``latest`` would take them for its own; the message names the ways out."""
    _save(tmp_path, 50)

    with pytest.raises(ConfigError, match=r"latest, choose another output_dir, or delete"):
        checkpoint_of(None, str(tmp_path))


def test_a_checkpoint_that_is_not_there_is_named(tmp_path: Path) -> None:
    """By its folder, or by the run's."""
    with pytest.raises(ConfigError, match="is not a checkpoint"):
        checkpoint_of(str(tmp_path / "checkpoint-1"), str(tmp_path))
    with pytest.raises(ConfigError, match="no checkpoint in"):
        checkpoint_of("latest", str(tmp_path))


def test_a_checkpoint_says_how_many_steps_were_made(tmp_path: Path) -> None:
    """Whatever its folder is called; one that does not is named."""
    _save(tmp_path, 50)
    renamed = (tmp_path / "checkpoint-50").rename(tmp_path / "best-7")
    (renamed / "trainer_state.json").write_text("{}")
    with pytest.raises(ConfigError, match=r"best-7.* does not contain"):
        steps_before(renamed)
    (renamed / "trainer_state.json").write_text('{"global_step": 50}')

    assert (steps_before(renamed), steps_before(None)) == (50, 0)


def test_metrics_go_only_where_something_is_installed() -> None:
    """The message says what to install."""
    check_report_to("none")
    check_report_to("json")  # any package will do

    with pytest.raises(ConfigError, match="pip install no_such_package"):
        check_report_to("no_such_package")


def test_nothing_is_downloaded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Unless somebody asked for it before."""
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setenv("HF_DATASETS_OFFLINE", "0")
    monkeypatch.delenv("HF_HUB_DISABLE_TELEMETRY", raising=False)
    monkeypatch.delenv("TOKENIZERS_PARALLELISM", raising=False)

    stay_offline()

    assert os.environ["HF_HUB_OFFLINE"] == "1"
    assert os.environ["HF_DATASETS_OFFLINE"] == "0"


def test_wandb_that_is_not_logged_in_is_refused_before_anything_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would ask at the terminal, or fail after the model was loaded; offline needs no login."""
    monkeypatch.setattr("importlib.util.find_spec", lambda name: object())
    for name in ("API_KEY", "MODE", "IDENTITY_TOKEN_FILE", "BASE_URL"):
        monkeypatch.delenv(f"WANDB_{name}", raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    with pytest.raises(ConfigError, match=r"wandb login.*WANDB_MODE=offline"):
        check_report_to("wandb")
    for name, value in (("MODE", "offline"), ("MODE", "disabled"), ("API_KEY", "k")):
        with monkeypatch.context() as patch:
            patch.setenv(f"WANDB_{name}", value)
            check_report_to("wandb")
    (tmp_path / "netrc").write_text("machine api.wandb.ai login user password k\n")
    check_report_to("wandb")
    monkeypatch.setenv("WANDB_BASE_URL", "https://wandb.example")
    with pytest.raises(ConfigError):
        check_report_to("wandb")


def test_this_machine_is_never_asked_for_through_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Libraries below look into NO_PROXY; what was in it stays."""
    monkeypatch.setenv("NO_PROXY", "box")
    monkeypatch.setenv("no_proxy", "")
    stay_offline()
    for name in ("NO_PROXY", "no_proxy"):
        assert os.environ[name] == "box,localhost,127.0.0.1,::1"


@pytest.mark.parametrize(("steps", "is_said"), [(3, True), (10, True), (11, False)])
def test_run_that_ends_before_its_rate_has_risen_says_so(steps: int, is_said: bool) -> None:
    """Once, at the start."""
    with capture_logs() as lines:
        warn_of_warmup(steps, warmup_steps=10)
    assert bool(lines) is is_said
