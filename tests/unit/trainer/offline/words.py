"""A tokenizer of a few words, made without a file."""

from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from transformers import PreTrainedTokenizerFast

__all__ = ["WORDS", "word_tokenizer"]

WORDS = ("<pad>", "<eos>", "<unk>", "go", "stop", "well", "user")


def word_tokenizer() -> PreTrainedTokenizerFast:
    """Each word is the token of its place in :data:`WORDS`."""
    words = Tokenizer(WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="<unk>"))
    words.pre_tokenizer = Whitespace()
    tokenizer = PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=words, pad_token="<pad>", eos_token="<eos>", unk_token="<unk>"
    )
    tokenizer.chat_template = (
        "{% for m in messages %}{{ m['role'] }} {{ m['content'] }} {% endfor %}"
    )
    return tokenizer
