"""Where a model's reasoning ends and its answer begins.

Owns the tags. What stands before the last closing one is reasoning, whether or not the completion
holds the opening one: a chat template may have written that already. A block that is never closed
holds no answer, for it was cut off before there was one. So the readers of inference engines have
it, too (vLLM's ``--reasoning-parser``).
"""

from dataclasses import dataclass

__all__ = ["Reasoned", "opened_by", "split_reasoning"]

_NAMES = (b"think", b"thinking")
_OPENING = tuple(b"<" + name + b">" for name in _NAMES)
_CLOSING = tuple(b"</" + name + b">" for name in _NAMES)


@dataclass(frozen=True)
class Reasoned:
    """A completion, parted."""

    reasoning: str
    """Up to the end of the last closing tag, or all of a text whose block is never closed."""
    answer: str | None
    """The rest; None where a block is never closed."""

    @property
    def is_blank(self) -> bool:
        r"""Whether nothing was reasoned: there is no block, or one of nothing but white space.

        >>> split_reasoning("<think>\n\n</think>yes").is_blank
        True
        """
        words = self.reasoning.lower()
        for tag in (*_OPENING, *_CLOSING):
            words = words.replace(tag.decode(), "")
        return not words.strip()


def split_reasoning(text: str) -> Reasoned:
    """Parts a completion; takes time in proportion to its length, whatever it holds.

    >>> split_reasoning("East is longer.</think>yes")
    Reasoned(reasoning='East is longer.</think>', answer='yes')
    >>> split_reasoning("yes")
    Reasoned(reasoning='', answer='yes')
    >>> split_reasoning("<think>Perhaps yes").answer is None
    True
    """
    letters = text.encode("ascii", "replace").lower()  # one byte a character, so places are kept
    closed = max(_end_of_last(letters, tag) for tag in _CLOSING)
    if any(letters.find(tag, closed) >= 0 for tag in _OPENING):
        return Reasoned(text, None)
    return Reasoned(text[:closed], text[closed:])


def opened_by(prompt: str) -> str:
    r"""The block that a prompt ends within, as it must stand before a completion to be read right.

    Args:
        prompt: As the model gets it, with what the chat template puts before an answer.

    Returns:
        The opening tag and the white space after it; empty where the prompt opens no block.

    >>> opened_by("<|user|>Go?<|assistant|><think>\n"), opened_by("<|user|>Go?<|assistant|>")
    ('<think>\n', '')
    """
    bare = prompt.rstrip()
    tail = bare[-max(map(len, _OPENING)) :].lower()
    for tag in _OPENING:
        if tail.endswith(tag.decode()):
            return prompt[len(bare) - len(tag) :]
    return ""


def _end_of_last(letters: bytes, tag: bytes) -> int:
    place = letters.rfind(tag)
    return 0 if place < 0 else place + len(tag)
