"""Applies chat templates to prompts and answers, for every kind of training.

Handles templates without a system turn, turns that end with a different token than texts, missing
padding tokens, and the text between a prompt and its answer. As a result, answers begin and end the
same way when a model is taught (``train sft``, ``train offline``), rewarded (``train grpo``) and
judged (``evaluate``).
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
"""Prepended to a template without a system turn; moves the system text to the start of the user's
message. It is saved with the model, so that any server renders the same prompt."""
_SYSTEM, _USER, _ANSWER = "Greenfork-System", "Greenfork-User", "Greenfork-Answer"
_PROBE = [{"role": "system", "content": _SYSTEM}, {"role": "user", "content": _USER}]

log = structlog.get_logger(__name__)

Messages = Sequence[dict[str, str]]


@dataclass(frozen=True)
class AnswerFrame:
    r"""The text around an answer, from the end of the prompt to the end of the turn.

    >>> AnswerFrame("<think>\n\n</think>\n\n", "<|im_end|>").text("yes")
    '<think>\n\n</think>\n\nyes<|im_end|>'
    """

    before: str
    """Usually empty; otherwise white space, an empty reasoning block, or the end of a block that
    the prompt opens."""
    after: str
    """Ends with the token that ends a turn."""

    def text(self, answer: str) -> str:
        """Everything that a model should generate after a prompt."""
        return f"{self.before}{answer}{self.after}"


def prepare_chat(tokenizer: "PreTrainedTokenizerBase", model: Any, name: str) -> None:  # noqa: ANN401
    """Configures how a tokenizer and its model begin, end and pad turns.

    Args:
        tokenizer: Its chat template, end token and padding token are changed if necessary.
        model: Its configuration is changed accordingly.
        name: The model, for messages.

    Raises:
        ModelError: There is no chat template, it cannot render a prompt, or no token ends a text.
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
    """A prompt as the model sees it, up to the start of its answer.

    Raises:
        ModelError: The chat template rejects it.
    """
    return _rendered(tokenizer, messages, is_asking=True)


def answer_frame(tokenizer: "PreTrainedTokenizerBase") -> AnswerFrame:
    """The text around answers, for a tokenizer prepared by :func:`prepare_chat`.

    An answer follows its prompt as in a conversation of the template, if that adds only white space
    and an empty reasoning block. If the prompt opens a block that the template's own answers lack,
    as with DeepSeek-R1, the block is closed at once.
    """
    prompt = prompt_text(tokenizer, _PROBE)
    before, after = _around_answer(tokenizer)
    said = before.removeprefix(prompt) if before.startswith(prompt) else ""
    parts = split_reasoning(said)
    if parts.answer is None or parts.answer.strip() or not parts.is_blank:
        said = ""  # the heading of a turn, from a template that ignores add_generation_prompt
    if (opened := opened_by(prompt)) and not parts.reasoning:
        closing = opened.strip().replace("<", "</")
        line_end = "" if opened.endswith("\n") else "\n"
        said = f"{line_end}\n{closing}\n\n"
    end = str(tokenizer.eos_token)
    if end not in after:
        return AnswerFrame(said, after.rstrip() + end)
    return AnswerFrame(said, after[: after.index(end) + len(end)])


def fold_system(tokenizer: "PreTrainedTokenizerBase", name: str) -> None:
    """Moves system messages into the user's message if the template has no turn for them."""
    if tokenizer.chat_template is None:
        raise ModelError(
            f"the tokenizer of {name!r} has no chat template: use the chat version of the model "
            "(often called Instruct), or add the template to its folder as chat_template.jinja",
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
            f"{name!r}: the chat template omits the text of messages", "unusable_chat_template"
        )
    log.warning(
        "the chat template has no system turn; the user's message starts with its text", model=name
    )


def _says_system(tokenizer: "PreTrainedTokenizerBase", is_last_try: bool = False) -> bool:
    try:
        text = prompt_text(tokenizer, _PROBE)
    except ModelError:
        if is_last_try:
            raise
        return False
    return _SYSTEM in text and _USER in text


def _end_turns(tokenizer: "PreTrainedTokenizerBase", model: Any, name: str) -> None:  # noqa: ANN401
    """Makes texts end with the token that ends a turn, so that the model learns to stop there."""
    former = tokenizer.eos_token
    end = _turn_end(tokenizer)
    if end is None:
        raise ModelError(
            f"no token ends the answers of {name!r}: its tokenizer has no eos_token, and its chat "
            "template adds no token after an answer; set eos_token in tokenizer_config.json",
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
        "the chat template ends turns with a different token than the tokenizer's eos_token; "
        "answers end with the turn's",
        model=name,
        turn=end,
        text=former,
    )


def _turn_end(tokenizer: "PreTrainedTokenizerBase") -> str | None:
    """The token that ends an answer: the eos_token if it follows the answer, else the first
    special token that does.
    """
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
    """The text of a conversation before and after its last answer."""
    conversation = [*_PROBE, {"role": "assistant", "content": _ANSWER}]
    before, found, after = _rendered(tokenizer, conversation, is_asking=False).rpartition(_ANSWER)
    if not found:
        raise ModelError("the chat template omits answers", "unusable_chat_template")
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
            f"the chat template rejects a conversation of {roles}: {exc}", "unusable_chat_template"
        ) from exc
    return str(text)
