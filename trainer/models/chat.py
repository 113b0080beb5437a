"""What a chat template makes of prompts and answers: in one place, for every kind of training.

Owns what is done where a template has no system turn, where a turn ends by another token than texts
do, and where nothing pads; and what stands between a prompt and its answer. So the answers that a
model is taught (``train sft``, ``train offline``), is rewarded for (``train grpo``) and is judged
by (``evaluate``) begin and end alike.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import structlog

from shared.errors import ModelError
from shared.language.reasoning import opened_by, split_reasoning

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

__all__ = ["AnswerFrame", "answer_frame", "fold_system", "prepare_chat", "prompt_text"]

_FOLDED = (
    "{%- if messages and messages[0]['role'] == 'system' -%}"
    "{%- if messages | length > 1 and messages[1]['role'] == 'user' -%}"
    "{%- set messages = [{'role': 'user', 'content': messages[0]['content'] ~ '\n\n' ~ "
    "messages[1]['content']}] + messages[2:] -%}"
    "{%- else -%}"
    "{%- set messages = [{'role': 'user', 'content': messages[0]['content']}] + messages[1:] -%}"
    "{%- endif -%}{%- endif -%}"
)
"""Stands before a template without a system turn: its text begins the user's. It is saved with the
model, so that whoever serves it says the same."""
_SYSTEM, _USER, _ANSWER = "Greenfork-System", "Greenfork-User", "Greenfork-Answer"
_PROBE = [{"role": "system", "content": _SYSTEM}, {"role": "user", "content": _USER}]

log = structlog.get_logger(__name__)

Messages = Sequence[dict[str, str]]


@dataclass(frozen=True)
class AnswerFrame:
    r"""What stands around an answer, from the end of the prompt to the end of the turn.

    >>> AnswerFrame("<think>\n\n</think>\n\n", "<|im_end|>").text("yes")
    '<think>\n\n</think>\n\nyes<|im_end|>'
    """

    before: str
    """An empty block of reasoning or the end of one that the prompt opens; white space; mostly
    nothing."""
    after: str
    """Ends by the token that ends a turn."""

    def text(self, answer: str) -> str:
        """All that a model should write after a prompt."""
        return f"{self.before}{answer}{self.after}"


def prepare_chat(tokenizer: "PreTrainedTokenizerBase", model: Any, name: str) -> None:  # noqa: ANN401
    """Has a tokenizer and its model begin, end and pad the turns of a conversation.

    Args:
        tokenizer: Its chat template, its end and its padding are changed where they have to be.
        model: Whose configuration is to say the same.
        name: The model, for messages.

    Raises:
        ModelError: There is no chat template, it cannot say a prompt, or nothing ends a text.
    """
    fold_system(tokenizer, name)
    former = tokenizer.eos_token
    _end_turns(tokenizer, model, name)
    known = model.get_input_embeddings().num_embeddings
    if tokenizer.pad_token is None or tokenizer.pad_token_id >= known:
        tokenizer.pad_token = former or tokenizer.eos_token
        model.config.get_text_config().pad_token_id = tokenizer.pad_token_id
        model.generation_config.pad_token_id = tokenizer.pad_token_id


def prompt_text(tokenizer: "PreTrainedTokenizerBase", messages: Messages) -> str:
    """A prompt as a model gets it, up to where its answer begins.

    Raises:
        ModelError: The chat template refuses it.
    """
    return _rendered(tokenizer, messages, is_asking=True)


def answer_frame(tokenizer: "PreTrainedTokenizerBase") -> AnswerFrame:
    """What stands around the answers of a tokenizer that :func:`prepare_chat` has seen.

    An answer follows its prompt as in a conversation of the template, where that goes on from the
    prompt with nothing but white space and an empty block of reasoning. Where the prompt opens a
    block that the template's own answers lack, as DeepSeek-R1's does, it is closed at once.
    """
    prompt = prompt_text(tokenizer, _PROBE)
    before, after = _around_answer(tokenizer)
    said = before.removeprefix(prompt) if before.startswith(prompt) else ""
    parts = split_reasoning(said)
    if parts.answer is None or parts.answer.strip() or not parts.is_blank:
        said = ""  # the heading of a turn, which a template that heeds no asking adds
    if (opened := opened_by(prompt)) and not parts.reasoning:
        closing = opened.strip().replace("<", "</")
        line_end = "" if opened.endswith("\n") else "\n"
        said = f"{line_end}\n{closing}\n\n"
    end = str(tokenizer.eos_token)
    if end not in after:
        return AnswerFrame(said, after.rstrip() + end)
    return AnswerFrame(said, after[: after.index(end) + len(end)])


def fold_system(tokenizer: "PreTrainedTokenizerBase", name: str) -> None:
    """Says a system message at the begin of the user's where the template has no turn for it."""
    if tokenizer.chat_template is None:
        raise ModelError(
            f"the tokenizer of {name!r} has no chat template: take the model's version for chats "
            "(often called Instruct), or put the template into its folder as chat_template.jinja",
            "no_chat_template",
        )
    if _says_system(tokenizer):
        return
    tokenizer.chat_template = _FOLDED + tokenizer.get_chat_template()
    try:
        is_said = _says_system(tokenizer, is_last_try=True)
    except ModelError as exc:
        raise ModelError(f"{name!r}: {exc.message}", exc.code) from exc
    if not is_said:
        raise ModelError(
            f"{name!r}: the chat template leaves out what a message says", "unusable_chat_template"
        )
    log.warning("the chat template has no system turn; its text begins the user's", model=name)


def _says_system(tokenizer: "PreTrainedTokenizerBase", is_last_try: bool = False) -> bool:
    try:
        text = prompt_text(tokenizer, _PROBE)
    except ModelError:
        if is_last_try:
            raise
        return False
    return _SYSTEM in text and _USER in text


def _end_turns(tokenizer: "PreTrainedTokenizerBase", model: Any, name: str) -> None:  # noqa: ANN401
    """Has texts end by the token that ends a turn: a model stops where it was taught to end."""
    former = tokenizer.eos_token
    end = _turn_end(tokenizer)
    if end is None:
        raise ModelError(
            f"nothing ends the answers of {name!r}: its tokenizer has no eos_token, and its chat "
            "template no token behind an answer; set eos_token in tokenizer_config.json",
            "no_end_of_text",
        )
    if end == former:
        return
    tokenizer.eos_token = end
    known = model.generation_config.eos_token_id
    ends = known if isinstance(known, list) else [known]
    own = tokenizer.eos_token_id
    model.generation_config.eos_token_id = [own, *(i for i in ends if i not in (None, own))]
    model.config.get_text_config().eos_token_id = own
    log.warning(
        "the chat template ends turns by another token than the tokenizer ends texts; answers end "
        "by the turn's",
        model=name,
        turn=end,
        text=former,
    )


def _turn_end(tokenizer: "PreTrainedTokenizerBase") -> str | None:
    """The token that ends an answer: the end of texts where that is one of those behind it."""
    _, after = _around_answer(tokenizer)
    ids = tokenizer(after, add_special_tokens=False)["input_ids"]
    if tokenizer.eos_token_id in ids:
        return str(tokenizer.eos_token)
    added = {*tokenizer.all_special_ids, *tokenizer.added_tokens_decoder}
    ends = [token for token in ids if token in added]
    if ends:
        return str(tokenizer.convert_ids_to_tokens(ends[0]))
    return None if tokenizer.eos_token is None else str(tokenizer.eos_token)


def _around_answer(tokenizer: "PreTrainedTokenizerBase") -> tuple[str, str]:
    """What a conversation says before and behind its last answer."""
    conversation = [*_PROBE, {"role": "assistant", "content": _ANSWER}]
    before, found, after = _rendered(tokenizer, conversation, is_asking=False).rpartition(_ANSWER)
    if not found:
        raise ModelError("the chat template leaves out answers", "unusable_chat_template")
    return before, after


def _rendered(tokenizer: "PreTrainedTokenizerBase", messages: Messages, is_asking: bool) -> str:
    from jinja2 import TemplateError

    try:
        text: Any = tokenizer.apply_chat_template(
            list(messages), add_generation_prompt=is_asking, tokenize=False
        )
    except (TemplateError, TypeError, ValueError) as exc:
        roles = ", ".join(message["role"] for message in messages)
        raise ModelError(
            f"the chat template refuses a conversation of {roles}: {exc}", "unusable_chat_template"
        ) from exc
    return str(text)
