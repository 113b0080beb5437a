"""What a chat template lacks is made up for, or said in one line."""

from types import SimpleNamespace
from typing import Any

import pytest
from transformers import PreTrainedTokenizerFast

from shared.errors import ModelError
from tests.unit.trainer.offline.words import word_tokenizer
from trainer.models.chat import AnswerFrame, answer_frame, prepare_chat, prompt_text

TURNS = "{% for m in messages %}[{{ m['role'] }}] {{ m['content'] }}{% if m['role'] == 'assistant' %}<|end|>{% endif %}{% endfor %}{% if add_generation_prompt %}[assistant] {% endif %}"  # noqa: E501
NO_SYSTEM = (
    "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system turn') }}{% endif %}"
)
DROPS_SYSTEM = TURNS.replace("messages %}[", "messages if m['role'] != 'system' %}[")
ALTERNATES = "{% for m in messages %}{% if (m['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('turns must alternate') }}{% endif %}{% endfor %}"  # noqa: E501
PROMPT = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Go?"}]


def chat(template: str | None, **tokens: str | None) -> tuple[PreTrainedTokenizerFast, Any]:
    """A tokenizer that knows ``<|end|>``, and what of a model is looked at."""
    tokenizer = word_tokenizer()
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|end|>"]})
    tokenizer.chat_template = template
    for name, token in tokens.items():
        setattr(tokenizer, name, token)
    config = SimpleNamespace(eos_token_id=1, pad_token_id=0)
    model = SimpleNamespace(
        config=SimpleNamespace(get_text_config=lambda: config),
        generation_config=SimpleNamespace(eos_token_id=1, pad_token_id=0),
        get_input_embeddings=lambda: SimpleNamespace(num_embeddings=len(tokenizer)),
    )
    return tokenizer, model


@pytest.mark.parametrize("template", [NO_SYSTEM + TURNS, ALTERNATES + TURNS, DROPS_SYSTEM])
def test_system_text_begins_the_users_where_it_has_no_turn(template: str) -> None:
    """Refused, out of turn, or silently left out; later turns are as they were."""
    tokenizer, model = chat(template)
    prepare_chat(tokenizer, model, "m")
    assert prompt_text(tokenizer, PROMPT) == "[user] Be brief.\n\nGo?[assistant] "
    turns = [*PROMPT, {"role": "assistant", "content": "Yes"}, {"role": "user", "content": "And?"}]
    assert prompt_text(tokenizer, turns) == (
        "[user] Be brief.\n\nGo?[assistant] Yes<|end|>[user] And?[assistant] "
    )
    assert prompt_text(tokenizer, PROMPT[:1]) == "[user] Be brief.[assistant] "
    assert prompt_text(tokenizer, PROMPT[1:]) == "[user] Go?[assistant] "


def test_a_template_with_a_system_turn_is_left_alone() -> None:
    """To the letter."""
    tokenizer, model = chat(TURNS)
    prepare_chat(tokenizer, model, "m")
    assert tokenizer.chat_template == TURNS
    assert prompt_text(tokenizer, PROMPT) == "[system] Be brief.[user] Go?[assistant] "


@pytest.mark.parametrize(
    ("template", "message"),
    [
        (None, "'m' has no chat template: use .*Instruct.* chat_template.jinja"),
        ("{{ raise_exception('not for chats') }}", "'m': .*rejects .*user: not for chats"),
        ("{{ messages[0]['content'][0]['text'] + 1 }}", "'m': the chat template rejects"),
        ("{{ 'Hello' }}", "'m': the chat template omits the text of messages"),
        ("{{ messages[0]['content'] }}{{ messages[1]['content'] }}", "omits answers"),
    ],
)
def test_a_template_that_cannot_be_used_is_said_in_one_line(
    template: str | None, message: str
) -> None:
    """With the model and the reason."""
    tokenizer, model = chat(template)
    with pytest.raises(ModelError, match=message) as caught:
        prepare_chat(tokenizer, model, "m")
    assert "\n" not in caught.value.message


def test_a_prompt_that_the_template_refuses_is_said_in_one_line() -> None:
    """With the roles of its messages."""
    tokenizer, model = chat(ALTERNATES + TURNS)
    prepare_chat(tokenizer, model, "m")
    with pytest.raises(ModelError, match="conversation of user, user: turns must alternate"):
        prompt_text(tokenizer, [PROMPT[1], PROMPT[1]])


def test_answers_end_by_what_ends_a_turn() -> None:
    """In the tokenizer and in the model; what ended texts before still does in generation."""
    tokenizer, model = chat(TURNS)
    prepare_chat(tokenizer, model, "m")
    end = tokenizer.convert_tokens_to_ids("<|end|>")
    assert (tokenizer.eos_token, tokenizer.eos_token_id) == ("<|end|>", end)
    assert model.generation_config.eos_token_id == [end, 1]
    assert model.config.get_text_config().eos_token_id == end
    assert answer_frame(tokenizer) == AnswerFrame("", "<|end|>")
    prepare_chat(tokenizer, model, "m")
    assert model.generation_config.eos_token_id == [end, 1]


@pytest.mark.parametrize("behind", ["<eos>", "", " ", "<eos>\n", "<eos>[user]"])
def test_the_end_of_texts_ends_turns_where_the_template_has_no_other(behind: str) -> None:
    """And nothing is taught behind it."""
    tokenizer, model = chat(TURNS.replace("<|end|>", behind))
    prepare_chat(tokenizer, model, "m")
    assert tokenizer.eos_token == "<eos>"
    assert model.generation_config.eos_token_id == 1
    assert answer_frame(tokenizer).text("go") == "go<eos>"


def test_a_model_that_nothing_ends_is_refused() -> None:
    """It would never stop."""
    tokenizer, model = chat(TURNS.replace("<|end|>", ""), eos_token=None)
    with pytest.raises(ModelError, match="no token ends the answers of 'm'"):
        prepare_chat(tokenizer, model, "m")


@pytest.mark.parametrize(("eos", "pad"), [("<eos>", "<eos>"), (None, "<|end|>")])
def test_the_end_pads_where_nothing_does(eos: str | None, pad: str) -> None:
    """That of texts rather than that of turns: what is padded is never an answer's end."""
    tokenizer, model = chat(TURNS, eos_token=eos, pad_token=None)
    prepare_chat(tokenizer, model, "m")
    assert tokenizer.pad_token == pad
    assert model.generation_config.pad_token_id == tokenizer.pad_token_id
    assert model.config.get_text_config().pad_token_id == tokenizer.pad_token_id


def test_padding_that_the_model_has_no_row_for_is_replaced() -> None:
    """Some tokenizer classes bring a padding token of their own."""
    tokenizer, model = chat(TURNS)
    tokenizer.add_special_tokens({"pad_token": "<|other|>"})
    model.get_input_embeddings = lambda: SimpleNamespace(num_embeddings=8)
    prepare_chat(tokenizer, model, "m")
    assert tokenizer.pad_token == "<eos>"


@pytest.mark.parametrize(
    ("asking", "head", "before"),
    [
        ("[assistant] ", "[assistant] ", ""),
        ("[assistant]", "[assistant] ", " "),
        ("[assistant]", "[assistant]<think>\n\n</think>\n\n", "<think>\n\n</think>\n\n"),
        ("[assistant]<think>\n", "[assistant]<think>\n\n</think>\n\n", "\n</think>\n\n"),
        ("[assistant]<think>\n", "[assistant]", "\n</think>\n\n"),
        ("[assistant]<think>", "[assistant]", "\n\n</think>\n\n"),
        ("[assistant]<thinking>", "[assistant]", "\n\n</thinking>\n\n"),
        ("[assistant]<think></think>", "[assistant]", ""),
        ("", "[assistant] ", ""),
    ],
)
def test_what_is_taught_before_an_answer(asking: str, head: str, before: str) -> None:
    """An empty block, or the end of one that the prompt opened; never the heading of a turn."""
    template = (
        "{% for m in messages %}"
        "{% if m['role'] == 'assistant' %}{{ head }}{{ m['content'] }}<|end|>"
        "{% else %}[{{ m['role'] }}] {{ m['content'] }}{% endif %}{% endfor %}"
        "{% if add_generation_prompt %}{{ asking }}{% endif %}"
    )
    named = f"{{% set head = {head!r} %}}{{% set asking = {asking!r} %}}"
    tokenizer, model = chat(named + template)
    prepare_chat(tokenizer, model, "m")
    assert answer_frame(tokenizer) == AnswerFrame(before, "<|end|>")
