"""Tiny random models under the real chat templates of model families.

The templates are those that TRL ships in its package; Mistral's, which it lacks, is written here
after the one of Mistral-7B-Instruct-v0.1. Tokens that the templates know are tokens of the models,
and so are both answers, so that a few steps teach a model to answer.
"""

from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    GenerationConfig,
    PreTrainedTokenizerFast,
)

__all__ = ["FAMILIES", "Family", "save_family"]

_ANSWERS = ('{"extend": "yes"}', '{"extend": "no"}')
_MISTRAL = (
    "{{ bos_token }}{% for message in messages %}"
    "{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}"
    "{% endif %}{% if message['role'] == 'user' %}{{ '[INST] ' + message['content'] + ' [/INST]' }}"
    "{% elif message['role'] == 'assistant' %}{{ message['content'] + eos_token + ' ' }}"
    "{% else %}{{ raise_exception('Only user and assistant roles are supported!') }}{% endif %}"
    "{% endfor %}"
)


@dataclass(frozen=True)
class Family:
    """What tells a family's conversations apart."""

    name: str
    model_type: str
    template: str
    """A file of TRL's, or the template itself."""
    bos: str | None
    eos: str
    pad: str | None
    turn_end: str
    """What ends an answer."""
    more: tuple[str, ...] = ()
    """Special tokens besides."""
    plain: tuple[str, ...] = ()
    """Tokens that are shown when special ones are not."""
    has_system: bool = True
    opened: str = ""
    """What the prompt opens."""
    taught: str = ""
    """What is taught before an answer."""

    def source(self) -> str:
        """The chat template."""
        if not self.template.endswith(".jinja"):
            return self.template
        return (files("trl") / "chat_templates" / self.template).read_text(encoding="utf-8")


FAMILIES = (
    Family(
        "qwen3", "qwen3", "qwen3.jinja", None, "<|endoftext|>", "<|endoftext|>", "<|im_end|>",
        more=("<|im_start|>",), plain=("<think>", "</think>"), taught="<think>\n\n</think>\n\n",
    ),
    Family(
        "gemma", "gemma", "gemma.jinja", "<bos>", "<eos>", "<pad>", "<end_of_turn>",
        more=("<start_of_turn>",), has_system=False,
    ),
    Family(
        "llama3", "llama", "llama3.jinja", "<|begin_of_text|>", "<|end_of_text|>", None,
        "<|eot_id|>", more=("<|start_header_id|>", "<|end_header_id|>"),
    ),
    Family(
        "mistral", "mistral", _MISTRAL, "<s>", "</s>", None, "</s>",
        plain=("[INST]", "[/INST]"), has_system=False,
    ),
    Family(
        "deepseek-r1", "llama", "deepseek_r1_distill.jinja", "<｜begin▁of▁sentence｜>",
        "<｜end▁of▁sentence｜>", None, "<｜end▁of▁sentence｜>",
        plain=("<｜User｜>", "<｜Assistant｜>", "<think>", "</think>"),
        opened="<think>\n", taught="\n</think>\n\n",
    ),
)  # fmt: skip


def save_family(family: Family, folder: Path) -> Path:
    """Saves a model of a family with its tokenizer."""
    tokenizer = _tokenizer(family)
    tokenizer.chat_template = family.source()
    torch.manual_seed(0)
    ends = {
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    config = AutoConfig.for_model(
        family.model_type,
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        head_dim=16,
        tie_word_embeddings=True,
        initializer_range=0.2,
        **ends,
    )
    model: Any = AutoModelForCausalLM.from_config(config)  # type: ignore[no-untyped-call]
    model.generation_config = GenerationConfig(**ends)  # type: ignore[no-untyped-call]
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def _tokenizer(family: Family) -> PreTrainedTokenizerFast:
    """Bytes, and what the family and the answers are made of."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    words = Tokenizer(models.BPE({letter: i for i, letter in enumerate(alphabet)}, []))
    words.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    words.decoder = decoders.ByteLevel()
    plain = (*family.plain, *_ANSWERS)
    words.add_tokens([AddedToken(text, normalized=False) for text in plain])
    named = {"bos_token": family.bos, "eos_token": family.eos, "pad_token": family.pad}
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=words,
        additional_special_tokens=[*family.more, family.turn_end],
        clean_up_tokenization_spaces=False,
        **{name: token for name, token in named.items() if token is not None},
    )
