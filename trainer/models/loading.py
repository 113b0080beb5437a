"""Loads language models for training: where they are, what hardware they use, and their adapter.

Loads local files only; nothing is ever downloaded. With Unsloth the adapter is created here;
otherwise TRL creates it from the returned configuration. Unsloth is imported before TRL, and only
if there is a CUDA GPU.
"""

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import structlog

from shared.errors import ConfigError, ModelError
from trainer.environment import local_rank
from trainer.models.adapters import find_base, is_adapter
from trainer.models.chat import fold_system, prepare_chat
from trainer.models.lora import found_targets, lora_config
from trainer.models.shared_prefix import share_prefixes
from trainer.models.smollm2 import MODEL_NAME, gguf_file, prepare_smollm2
from trainer.settings import ModelSettings

if TYPE_CHECKING:
    import torch

__all__ = [
    "Hardware",
    "LoadedModel",
    "check_model",
    "is_mixed",
    "load_model",
    "load_tokenizer",
    "model_folder",
    "pick_hardware",
]

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Hardware:
    """The hardware and backend of a run."""

    device: Literal["cpu", "cuda"]
    is_bf16: bool
    backend: Literal["transformers", "unsloth"]

    @property
    def place(self) -> str:
        """The device name for torch; each rank has its own GPU."""
        return "cpu" if self.device == "cpu" else f"cuda:{local_rank()}"

    @property
    def dtype(self) -> "torch.dtype":
        """The type of the frozen weights."""
        import torch

        return torch.bfloat16 if self.is_bf16 else torch.float32


def is_mixed(config: ModelSettings, hardware: Hardware) -> bool:
    """Whether fp32 weights compute in bf16 (autocast).

    On a CPU this requires ``precision: bf16``: there, the frozen weights under an adapter already
    are bf16, and a small model whose weights are all trained is just as fast without it.
    """
    if hardware.device == "cuda":
        return hardware.is_bf16
    return config.precision == "bf16" and config.lora_rank == 0


@dataclass(frozen=True)
class LoadedModel:
    """A model and its tokenizer, ready for TRL."""

    model: Any
    tokenizer: Any
    lora: Any | None
    """The adapter that TRL should add; None if the model already has it or all weights are
    trained."""


def pick_hardware(config: ModelSettings) -> Hardware:
    """Selects device, precision and backend.

    Raises:
        ConfigError: The settings require something that is not available.
    """
    import torch

    has_cuda = torch.cuda.is_available()
    if config.device == "cuda" and not has_cuda:
        raise ConfigError("device: cuda, but this machine has no CUDA GPU; use device: auto")
    device: Literal["cpu", "cuda"] = "cpu" if config.device == "cpu" or not has_cuda else "cuda"
    if device == "cpu" and (config.use_vllm or config.load_in_4bit):
        raise ConfigError("use_vllm and load_in_4bit need a CUDA GPU")
    if config.use_vllm and importlib.util.find_spec("vllm") is None:
        raise ConfigError("use_vllm needs vLLM: pip install greenfork[gpu]")
    backend = _pick_backend(config, device)
    if config.load_in_4bit and config.lora_rank == 0:
        raise ConfigError("load_in_4bit: quantized weights cannot be trained; set a lora_rank")
    if config.load_in_4bit and backend != "unsloth":
        raise ConfigError("load_in_4bit needs the unsloth backend: pip install greenfork[gpu]")
    if config.share_prefixes and backend == "unsloth":
        raise ConfigError("share_prefixes does not work with Unsloth; set backend: transformers")
    if config.share_prefixes and config.gradient_checkpointing:
        raise ConfigError(
            "share_prefixes keeps what gradient_checkpointing recomputes; use only one of them"
        )
    is_bf16 = config.precision == "bf16" or (config.precision == "auto" and _has_bf16(device))
    return Hardware(device, is_bf16, backend)


def check_model(model_path: str) -> None:
    """Checks that a model exists, without loading it.

    Raises:
        ModelError: It does not.
    """
    if model_path == MODEL_NAME:
        gguf_file()
        return
    folder = Path(model_path)
    if not folder.exists():
        raise ModelError(
            f"no model at {model_path!r}: pass a folder with a model, or {MODEL_NAME!r} "
            "(models are never downloaded)"
        )
    if not any((folder / name).is_file() for name in ("config.json", "adapter_config.json")):
        raise ModelError(f"{model_path!r} contains no model: no config.json or adapter_config.json")


def model_folder(model_path: str) -> Path:
    """The folder from which a model is loaded.

    Raises:
        ModelError: There is none.
    """
    check_model(model_path)
    return prepare_smollm2() if model_path == MODEL_NAME else Path(model_path)


def load_model(config: ModelSettings, hardware: Hardware) -> LoadedModel:
    """Loads the starting model of a run; an adapter is merged, so that it is frozen too.

    Raises:
        ModelError: The model is missing or cannot be loaded.
    """
    folder = model_folder(config.model_path)
    try:
        if hardware.backend == "unsloth":
            return _load_unsloth(folder, config)
        return _load_transformers(folder, config, hardware)
    except (OSError, ValueError, KeyError, TypeError) as exc:
        raise ModelError(f"cannot load the model {config.model_path!r}: {exc}") from exc


def load_tokenizer(config: ModelSettings) -> Any:  # noqa: ANN401 - an untyped library
    """Loads the tokenizer of a run without its model.

    Raises:
        ModelError: There is none, or it has no chat template.
    """
    folder, model_path = model_folder(config.model_path), config.model_path
    try:
        tokenizer = _tokenizer_of(folder, _base_of(folder, config.base_path))
    except (OSError, ValueError, KeyError) as exc:
        raise ModelError(f"cannot load the tokenizer of {model_path!r}: {exc}") from exc
    fold_system(tokenizer, model_path)
    return tokenizer


def _pick_backend(
    config: ModelSettings, device: Literal["cpu", "cuda"]
) -> Literal["transformers", "unsloth"]:
    if config.backend == "unsloth" and config.lora_rank == 0:
        raise ConfigError("backend: unsloth only trains adapters here; set a lora_rank above 0")
    if config.backend == "transformers" or config.lora_rank == 0:
        return "transformers"
    is_usable = device == "cuda" and importlib.util.find_spec("unsloth") is not None
    if config.backend == "unsloth" and not is_usable:
        raise ConfigError("backend: unsloth needs a CUDA GPU and pip install greenfork[gpu]")
    return "unsloth" if is_usable else "transformers"


def _has_bf16(device: Literal["cpu", "cuda"]) -> bool:
    """Whether the hardware supports bf16; emulated, it is several times slower than fp32."""
    import torch

    if device == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    capabilities = torch.cpu.get_capabilities()
    return any(capabilities.get(name) for name in ("avx512_bf16", "amx_bf16", "bf16"))


def _load_transformers(folder: Path, config: ModelSettings, hardware: Hardware) -> LoadedModel:
    from transformers import AutoModelForCausalLM

    base = _base_of(folder, config.base_path)
    # trained weights stay in fp32: small updates would be lost in bf16
    dtype = hardware.dtype if config.lora_rank else "float32"
    model: Any = AutoModelForCausalLM.from_pretrained(
        (base or folder).resolve(),  # the path that adapters store as their base model
        dtype=dtype,
        local_files_only=True,
        trust_remote_code=False,
        use_safetensors=True,
    )
    if base is not None:
        from peft import PeftModel

        model = PeftModel.from_pretrained(model, folder).merge_and_unload()
        model.requires_grad_(True)  # the adapter froze its base model
    tokenizer = _tokenizer_of(folder, base)
    prepare_chat(tokenizer, model, config.model_path)
    if config.share_prefixes:
        share_prefixes(model)
    adapter = lora_config(config, model) if config.lora_rank else None
    return LoadedModel(model.to(hardware.place), tokenizer, adapter)


def _load_unsloth(folder: Path, config: ModelSettings) -> LoadedModel:
    from unsloth import FastLanguageModel

    model, tokenizer = FastLanguageModel.from_pretrained(
        model_name=str(folder),
        max_seq_length=config.max_seq_length,
        load_in_4bit=config.load_in_4bit,
        fast_inference=config.use_vllm,
        max_lora_rank=config.lora_rank,
        gpu_memory_utilization=config.gpu_memory_utilization,
    )
    model = FastLanguageModel.get_peft_model(
        model,
        r=config.lora_rank,
        lora_alpha=config.lora_alpha,
        target_modules=found_targets(model, config.lora_targets),
        use_gradient_checkpointing="unsloth" if config.gradient_checkpointing else False,
        random_state=config.seed,
    )
    prepare_chat(tokenizer, model, config.model_path)
    return LoadedModel(model, tokenizer, None)


def _base_of(folder: Path, named: str | None) -> Path | None:
    """The base model of an adapter; None if ``folder`` is a full model."""
    if not is_adapter(folder):
        return None
    if not (folder / "adapter_model.safetensors").is_file():
        raise ModelError(f"the adapter {folder} has no adapter_model.safetensors")
    return find_base(folder, named)


def _tokenizer_of(folder: Path, base: Path | None) -> Any:  # noqa: ANN401 - an untyped library
    from transformers import AutoTokenizer

    has_own = base is None or (folder / "tokenizer_config.json").is_file()
    return AutoTokenizer.from_pretrained(
        folder if has_own else base,
        local_files_only=True,
        trust_remote_code=False,
        clean_up_tokenization_spaces=False,
    )
