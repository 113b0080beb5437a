"""Queries become the tensors that the losses expect."""

from types import SimpleNamespace

import pytest
import torch

from shared.errors import DatasetError
from tests.unit.trainer.offline.words import word_tokenizer
from trainer.offline.batches import (
    EncodedGroup,
    Encoder,
    candidate_logps,
    collate,
    rows_of,
    with_stored,
)
from trainer.offline.candidates import CandidateGroup, group_of


def _group(prompt: str, *answers: object) -> CandidateGroup:
    scores = [float(-number) for number in range(len(answers))]
    record = {"prompt": prompt, "id_list": list(answers), "score_list": scores}
    return group_of(record, "row 3", has_token_ids=True)


def _encoded(*groups: CandidateGroup, length: int = 50) -> list[EncodedGroup]:
    advantages = [[1.0, *[-1.0] * (len(group.candidates) - 1)] for group in groups]
    return Encoder(word_tokenizer(), length, top_k=2).encode(groups, advantages)


def test_a_query_is_its_prompt_and_each_answer_with_its_end() -> None:
    """The prompt as the chat template writes it; token ids as they are, ended once."""
    (found,) = _encoded(_group("well", "go", "stop well", [4, 3], [4, 1]))
    assert found.prompt == (6, 5)
    assert found.candidates == ((3, 1), (4, 5, 1), (4, 3, 1), (4, 1))
    assert found.scores == (0.0, -1.0, -2.0, -3.0)
    assert found.is_top == (True, True, False, False)


def test_queries_that_are_too_long_are_left_out() -> None:
    """By their longest candidate; it is said where none is left."""
    short, long = _group("well", "go", "stop"), _group("well well well", "go", "stop go go")
    assert [one.prompt for one in _encoded(short, long, length=6)] == [(6, 5)]
    with pytest.raises(DatasetError, match="longer than max_seq_length = 3"):
        _encoded(short, long, length=3)


def test_a_token_that_the_model_does_not_have_is_named() -> None:
    """With its row."""
    with pytest.raises(DatasetError, match=r"row 3: id_list holds the token id 7; .* 0 to 6"):
        _encoded(_group("well", [3], [7]))


def test_a_batch_pads_prompts_on_the_left_and_answers_on_the_right() -> None:
    """So that answers begin at one position, and positions count from each prompt's begin."""
    batch = collate(_encoded(_group("well well", "go", "stop go"), _group("well", "go", "go")), 0)
    assert batch["input_ids"].tolist() == [
        [6, 5, 5, 3, 1, 0],
        [6, 5, 5, 4, 3, 1],
        [0, 6, 5, 3, 1, 0],
        [0, 6, 5, 3, 1, 0],
    ]
    assert batch["attention_mask"].tolist()[2] == [0, 1, 1, 1, 1, 0]
    assert batch["position_ids"].tolist()[2][1:5] == [0, 1, 2, 3]
    assert batch["targets"].tolist()[1] == [4, 3, 1]
    assert batch["mask"].tolist()[0] == [1, 1, 0]
    assert batch["sizes"].tolist() == [2, 2]
    assert "stored" not in batch


def test_stored_log_probabilities_go_to_their_candidates() -> None:
    """In the order in which they were computed, group after group."""
    groups = _encoded(_group("well", "go", "stop go"), _group("well", "go", "go"))
    stored = [torch.full((length,), -float(number)) for number, length in enumerate((2, 3, 2, 2))]
    known = with_stored(groups, stored)
    assert collate(known[1:], 0)["stored"].tolist() == [[-2.0, -2.0], [-3.0, -3.0]]
    assert collate(known[:1], 0)["stored"].tolist() == [[0.0, 0.0, 0.0], [-1.0, -1.0, -1.0]]


def test_a_part_of_a_batch_keeps_its_groups() -> None:
    """Every tensor loses the same candidates."""
    batch = collate(_encoded(_group("well", "go", "go", "stop"), _group("well", "go", "stop")), 0)
    part = rows_of(batch, batch["is_top"])
    assert part["sizes"].tolist() == [2, 2]
    assert part["scores"].tolist() == [0.0, -1.0, 0.0, -1.0]
    assert part["targets"].tolist() == batch["targets"][[0, 1, 3, 4]].tolist()


def test_log_probabilities_are_read_where_the_answers_are() -> None:
    """Of a model that is sure that each token is followed by the next number."""

    def model(input_ids: torch.Tensor, logits_to_keep: int, **_: object) -> SimpleNamespace:
        sure = torch.nn.functional.one_hot((input_ids + 1) % 7, 7).float() * 50
        return SimpleNamespace(logits=sure[:, -logits_to_keep:])

    batch = collate(_encoded(_group("well", [6, 0, 1], [6, 1])), 0)
    logps = candidate_logps(model, batch)  # type: ignore[arg-type]
    assert logps[0].tolist() == pytest.approx([0.0, 0.0, 0.0], abs=1e-6)  # 5 → 6 → 0 → 1
    assert logps[1].tolist() == pytest.approx([0.0, -50.0, 0.0], abs=1e-3)  # 6 → 1; then padding
