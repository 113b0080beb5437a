"""Common beginnings computed once: the same values, gradients and answers as row by row."""

from typing import Any

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from trainer.models.shared_prefix import best_split, share_prefixes

PAD = 0
GROUPS = torch.tensor(
    [
        [PAD, PAD, 5, 6, 7, 8, 9, 10, 11],
        [PAD, PAD, 5, 6, 7, 8, 9, 12, PAD],
        [3, 4, 5, 6, 7, 8, 20, 13, 14],
        [3, 4, 5, 6, 7, 8, 20, 10, 11],
        [PAD, PAD, 5, 6, 7, 8, 9, 15, 2],
    ]
)
"""Answers of two tokens to two prompts of seven, of which one is padded."""
MASK = (GROUPS != PAD).long()


def _model(seed: int = 1) -> Any:  # noqa: ANN401 - an untyped library
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=32,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        pad_token_id=PAD,
        eos_token_id=31,
    )
    return LlamaForCausalLM(config)  # type: ignore[no-untyped-call]


def _sharing() -> tuple[Any, list[int]]:
    """The same model, and how many tokens its decoder computes in each pass."""
    model, tokens = _model(), []
    model.model.embed_tokens.register_forward_hook(
        lambda _, inputs, __: tokens.append(inputs[0].numel())
    )
    share_prefixes(model)
    return model, tokens


def test_values_and_gradients_are_those_of_whole_rows() -> None:
    """Of what is not padding, to the last digits of fp32."""
    plain, (sharing, tokens) = _model(), _sharing()
    real = MASK[:, 2:].bool()  # a padded position sees nothing that means anything

    def scored(model: Any) -> torch.Tensor:  # noqa: ANN401 - an untyped library
        logits = model(input_ids=GROUPS, attention_mask=MASK, use_cache=False).logits
        named = torch.log_softmax(logits[:, 1:-1], -1).gather(-1, GROUPS[:, 2:, None])
        return named.squeeze(-1)[real]

    expected, got = scored(plain), scored(sharing)
    torch.autograd.backward(expected.sum())
    torch.autograd.backward(got.sum())

    assert tokens == [2 * 7, 5 * 2]
    torch.testing.assert_close(got, expected)
    for one, other in zip(sharing.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad)


def test_generated_answers_are_those_of_whole_rows() -> None:
    """Greedy answers to padded prompts, each asked for several times."""
    prompts, mask = GROUPS[:, :7], MASK[:, :7]
    asked = {"attention_mask": mask, "min_new_tokens": 6, "max_new_tokens": 6}
    plain, (sharing, tokens) = _model(), _sharing()

    expected = plain.generate(prompts, do_sample=False, **asked)
    got = sharing.generate(prompts, do_sample=False, **asked)

    assert got.tolist() == expected.tolist()
    assert tokens[:2] == [2 * 6, 5 * 1]
    assert set(tokens[2:]) == {5}  # a token each, as ever


def test_rows_without_a_common_beginning_are_computed_as_ever() -> None:
    """One pass."""
    sharing, tokens = _sharing()

    sharing(input_ids=torch.arange(1, 13).reshape(2, 6))

    assert tokens == [12]


def test_what_is_padded_in_one_row_alone_is_not_in_common() -> None:
    """Equal tokens, of which one row is told not to look at the first."""
    rows = torch.tensor([[4, 5, 6, 7, 8], [4, 5, 6, 7, 9]])
    mask = torch.tensor([[0, 1, 1, 1, 1], [1, 1, 1, 1, 1]])
    sharing, tokens = _sharing()

    sharing(input_ids=rows, attention_mask=mask)
    sharing(input_ids=rows, attention_mask=torch.ones_like(rows))

    assert tokens == [10, 4, 2]


@pytest.mark.parametrize(
    ("rows", "length", "tokens"),
    [
        ([[1, 2, 3]] * 4, 2, 2 + 4),  # the last token is always each row's own
        ([[1, 2, 3, 4], [1, 2, 5, 6]], 2, 2 + 4),
        ([[1, 2, 3, 4]] * 2 + [[9, 2, 3, 4]] * 2, 3, 6 + 4),
    ],
)
def test_the_split_leaves_the_fewest_tokens(
    rows: list[list[int]], length: int, tokens: int
) -> None:
    """Counted by hand."""
    split = best_split(torch.tensor(rows))

    assert split is not None
    assert split.length == length
    assert split.tokens(len(rows[0])) == tokens


def test_a_model_without_a_decoder_of_its_own_is_refused() -> None:
    """Hidden states could not be put together."""
    with pytest.raises(ValueError, match="does not know the parts of a LlamaModel"):
        share_prefixes(_model().model)


def test_a_row_alone_and_little_in_common_are_not_worth_a_second_pass() -> None:
    """One of ten tokens, of two rows."""
    assert best_split(torch.tensor([[1, 2, 3]])) is None
    rows = torch.arange(20).reshape(2, 10)
    rows[1, 0] = rows[0, 0]
    assert best_split(rows) is None
