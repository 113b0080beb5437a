"""What GRPO finds wrong before anything is loaded."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
import torch
from structlog.testing import capture_logs

from reward_client import RewardClient
from shared.errors import (
    ConfigError,
    DatasetError,
    ModelError,
    ServiceRefused,
    ServiceUnreachable,
)
from shared.wire.scoring import ScoreItem, ScoreRequest, ScoreResult
from shared.wire.states import Simulator, StatePage, StateRecord
from tests.integration.trainer.small_service import SmallService, failing, running, yes_is_better
from trainer import GRPOTrainingConfig, train_grpo
from trainer.grpo.preflight import _unknown_states, check_run
from trainer.grpo.run import rehearse
from trainer.models.loading import load_model, pick_hardware
from trainer.settings import ModelSettings

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

    monkeypatch.setattr("trainer.grpo.trainer.rewarded_trainer", lambda scorer: unreachable)
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
    with pytest.raises(ModelError, match="contains no model"):
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
    monkeypatch.setattr("trainer.grpo.preflight.prompt_extend_s", lambda path: 10)
    with pytest.raises(ConfigError, match="set extend_seconds: 10"):
        check_run(settings(NOBODY))


def _rows(file: Path, scenarios: dict[str, tuple[int, str]]) -> Path:
    """So many rows of each scenario, all of one prompt."""
    rows = [
        {
            "prompt": prompt,
            "state_id": f"{scenario}@{number}-0123456789ab",
            "scenario": scenario,
            "tls_id": "A",
            "decision_kind": "extend",
            "difficulty": number / count,
        }
        for scenario, (count, prompt) in scenarios.items()
        for number in range(count)
    ]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


def test_domain_whose_prompts_are_all_too_long(settings: Settings, tmp_path: Path) -> None:
    """Not a run on the others alone, which were to be as many."""
    rows = _rows(tmp_path / "two.jsonl", {"north": (8, "the well"), "south": (8, "well " * 300)})
    with running(SmallService(yes_is_better)) as url:
        config = settings(url, dataset_path=str(rows), curriculum=True)
        with pytest.raises(DatasetError, match=r"every prompt of 'south' is longer .* 198 tokens"):
            train_grpo(config)
        with pytest.raises(DatasetError, match="'south'"):
            rehearse(config, check_run(config))


def test_domain_of_fewer_rows_than_a_step_takes(settings: Settings, tmp_path: Path) -> None:
    """Before a model is loaded; the message says how many it has, and how many are wanted."""
    rows = _rows(tmp_path / "two.jsonl", {"north": (9, "the well"), "south": (3, "the well")})
    with pytest.raises(DatasetError, match=r"'south' has 3 rows, and a step takes 4 of each"):
        train_grpo(settings(NOBODY, dataset_path=str(rows), curriculum=True, batch_size=32))


def test_rehearsal_shows_what_the_model_gets(settings: Settings) -> None:
    """Of all that a run does before it loads the model."""
    with running(SmallService(yes_is_better)) as url:
        config = settings(url)
        found = rehearse(config, check_run(config))
    assert found.rows == 8
    assert "Control the light." in found.prompt
    assert 0 < found.longest_prompt < 198


@pytest.mark.parametrize(("warmup_steps", "is_said"), [(4, True), (9, True), (3, False)])
def test_run_that_ends_before_it_is_warm_says_so(
    settings: Settings, warmup_steps: int, is_said: bool
) -> None:
    """It would report success, and have learned nothing."""
    with running(SmallService(yes_is_better)) as url, capture_logs() as lines:
        check_run(settings(url, warmup_steps=warmup_steps))
    assert any("learn almost nothing" in line["event"] for line in lines) is is_said


async def test_states_that_the_service_lacks_are_found() -> None:
    """Whichever rows they are of; a service that does not list its states is believed."""
    known = ["a@1-0", "a@2-0"]

    def answer(request: httpx.Request) -> httpx.Response:
        records = tuple(
            StateRecord(
                state_id=one,
                scenario_id="a-1",
                time_s=1.0,
                seed=1,
                run="r",
                restore="state",
                signals={},
                verified_s=1,
                simulator=Simulator(version="0"),
            )
            for one in known
        )
        page = StatePage(states=records, total=len(records), limit=500, offset=0)
        return httpx.Response(200 if known else 404, content=page.model_dump_json())

    info = SmallService(yes_is_better).info()
    async with RewardClient("http://box", transport=httpx.MockTransport(answer)) as client:
        assert await _unknown_states(client, info, ["a@2-0", "b@1-0", "b@1-0"]) == ["b@1-0"]
        known.clear()
        assert await _unknown_states(client, info, ["b@1-0"]) == []


def test_adapter_is_loaded_onto_the_model_that_it_was_trained_on(
    settings: Settings, tiny_llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given by a relative path there, and loaded where another model has that name."""
    from transformers import AutoModelForCausalLM

    here = tmp_path / "here"
    shutil.copytree(tiny_llama, tmp_path / "base")
    other = AutoModelForCausalLM.from_pretrained(tiny_llama)
    with torch.no_grad():
        next(other.parameters()).mul_(2.0)
    other.save_pretrained(here / "base")
    monkeypatch.chdir(tmp_path)
    with running(SmallService(yes_is_better)) as url:
        files = train_grpo(settings(url, model_path="base", max_steps=1)).files
    monkeypatch.chdir(here)
    loading = ModelSettings(model_path=str(files.adapter), precision="fp32", lora_rank=0)
    words = torch.tensor([[2, 5, 3, 6]])
    adapted = load_model(loading, pick_hardware(loading)).model(words).logits
    merged = AutoModelForCausalLM.from_pretrained(str(files.merged))(words).logits
    assert torch.allclose(adapted, merged, atol=1e-5)
    shutil.rmtree(tmp_path / "base")
    with pytest.raises(ModelError, match="--base"):
        load_model(loading, pick_hardware(loading))
    named = loading.model_copy(update={"base_path": str(tiny_llama)})
    assert torch.allclose(load_model(named, pick_hardware(named)).model(words).logits, adapted)


@pytest.mark.parametrize("what", ["model", "adapter"])
def test_weights_that_are_pickles_are_not_loaded(
    settings: Settings, tiny_llama: Path, tmp_path: Path, what: str
) -> None:
    """Reading them would run what is in them."""
    folder = tmp_path / "pickled"
    shutil.copytree(tiny_llama, folder)
    if what == "model":
        (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    else:
        (folder / "adapter_config.json").write_text(
            json.dumps({"base_model_name_or_path": str(tiny_llama), "peft_type": "LORA"})
        )
        (folder / "adapter_model.bin").touch()
    config = settings(NOBODY, model_path=str(folder))
    with pytest.raises(ModelError, match="safetensors"):
        load_model(config, pick_hardware(config))


def test_code_in_a_model_s_folder_is_not_run(
    settings: Settings, tiny_llama: Path, tmp_path: Path
) -> None:
    """Nor is anybody asked whether it shall be."""
    folder = tmp_path / "coded"
    shutil.copytree(tiny_llama, folder)
    described = json.loads((folder / "config.json").read_text())
    described |= {"model_type": "mine", "auto_map": {"AutoConfig": "mine.Config"}}
    (folder / "config.json").write_text(json.dumps(described))
    (folder / "mine.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\nclass Config: ...\n")
    config = settings(NOBODY, model_path=str(folder))
    with pytest.raises(ModelError):
        load_model(config, pick_hardware(config))
    assert not (tmp_path / "ran").exists()
