"""The vocabulary of the small model: learned from texts, and nothing is unknown to it."""

import json
from pathlib import Path
from typing import Any

import pytest

from shared.errors import ModelError
from trainer.models.small_model import learn_tokenizer, save_small_model

QUESTION = "You control one traffic light. Decide whether the green should last 5 more seconds."


def _state(queued: int) -> str:
    counts = {"queued": queued, "approaching": queued // 2, "passed": 0}
    view = {"phases": {"0": counts, "2": counts}, "current_phase": 0, "elapsed_green": 12}
    return json.dumps(view, separators=(",", ":"))


def _conversation(number: int) -> list[dict[str, str]]:
    return [
        {"role": "system", "content": QUESTION},
        {"role": "user", "content": _state(number % 40)},
        {"role": "assistant", "content": '{"extend": "yes"}' if number % 2 else '{"extend": "no"}'},
    ]


CONVERSATIONS = [_conversation(number) for number in range(80)]


@pytest.fixture(scope="module")
def tokenizer() -> object:
    """Learned from eighty short conversations."""
    return learn_tokenizer(CONVERSATIONS, 512)


def test_a_conversation_is_a_few_tokens(tokenizer: object) -> None:
    """The question is one token; so is each number, and each key and word of JSON."""
    text = tokenizer.apply_chat_template(CONVERSATIONS[11], tokenize=False)  # type: ignore[attr-defined]
    tokens = tokenizer(text)["input_ids"]  # type: ignore[operator]
    words = [tokenizer.decode([token]) for token in tokens]  # type: ignore[attr-defined]

    assert words[:5] == [QUESTION, "<|user|>", "{", '"phases":', '{"']
    assert words[words.index('"queued":') + 1] == "11"
    assert len(words) < 40


def test_an_answer_is_written_piece_by_piece(tokenizer: object) -> None:
    """One token for all of it would be a classifier, whose form could not be wrong."""
    tokens = tokenizer('{"extend": "yes"}')["input_ids"]  # type: ignore[operator]

    assert [tokenizer.decode([t]) for t in tokens] == ["{", '"extend":', " ", '"yes"', "}"]  # type: ignore[attr-defined]


def test_every_number_up_to_99_is_one_token(tokenizer: object) -> None:
    """Also those that no text has; longer ones are made of these."""
    counted = [len(tokenizer(str(number))["input_ids"]) for number in (*range(100), 100, 7345)]  # type: ignore[operator]

    assert counted == [1] * 100 + [2, 2]


@pytest.mark.parametrize("text", ["Grüße 第一 \n\t{}", QUESTION + QUESTION, "<|user", "007"])
def test_any_text_is_given_back(tokenizer: object, text: str) -> None:
    """What the vocabulary does not have is spelled."""
    assert tokenizer.decode(tokenizer(text)["input_ids"]) == text  # type: ignore[operator, attr-defined]


def test_a_generation_prompt_is_what_a_whole_conversation_begins_with(tokenizer: object) -> None:
    """So that a model goes on from exactly what it was taught to go on from."""
    chat = tokenizer.apply_chat_template  # type: ignore[attr-defined]
    whole = chat(CONVERSATIONS[0], tokenize=False)
    prompt = chat(CONVERSATIONS[0][:2], add_generation_prompt=True, tokenize=False)

    assert whole == prompt + '{"extend": "no"}<|end|>'


def test_the_vocabulary_keeps_its_size(tokenizer: object) -> None:
    """Phrases included."""
    assert 356 < len(tokenizer) <= 512  # type: ignore[arg-type]


def test_a_vocabulary_without_texts_or_without_room_is_refused() -> None:
    """The bytes and the numbers alone take 350 tokens."""
    with pytest.raises(ModelError, match="no texts to learn"):
        learn_tokenizer([], 512)
    with pytest.raises(ModelError, match="too small"):
        learn_tokenizer(CONVERSATIONS, 300)


def test_numbers_that_are_close_look_alike_before_anything_is_learned(tmp_path: Path) -> None:
    """And no two of them are the same."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = save_small_model(CONVERSATIONS, tmp_path / "untrained", seed=3)
    tokens = AutoTokenizer.from_pretrained(folder).convert_tokens_to_ids(
        [str(n) for n in range(100)]
    )
    model: Any = AutoModelForCausalLM.from_pretrained(folder)
    weights = torch.nn.functional.normalize(model.get_input_embeddings().weight[tokens], dim=1)
    alike = weights.detach() @ weights.detach().T
    neighbours = [alike[n, n + 1].item() for n in range(10, 99)]
    far_apart = [alike[n, 5 * n].item() for n in range(2, 20)]

    assert sum(neighbours) / len(neighbours) > 0.2 + sum(far_apart) / len(far_apart)
    assert alike.fill_diagonal_(0).max() < 0.9
