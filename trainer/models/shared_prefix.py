"""Computes a prefix that texts of a batch share once, instead of once per text.

The answers of a group share their prompt, and lessons share a system message: in GRPO on decisions,
most of the computation is repeated. The idea is from Prefix Grouper (Liu et al., 2025,
arXiv:2506.05433); here, a first pass computes the keys and values of the prefix, and each row
continues from them, so that models need no changes. Values and gradients are the same up to
rounding: each token attends to the same tokens at the same positions.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

__all__ = ["Split", "best_split", "share_prefixes"]

_WORTH = 0.8
"""Rows are split if at most this share of the tokens remains."""


@dataclass(frozen=True)
class Split:
    """Where rows of tokens are split, and which of them share a prefix."""

    length: int
    """Length of the prefix, tokens."""
    firsts: tuple[int, ...]
    """The rows with distinct prefixes."""
    sources: tuple[int, ...]
    """For each row, the index in ``firsts`` of the row with the same prefix."""

    def tokens(self, length: int) -> int:
        """The number of tokens to compute for rows of this length."""
        return self.length * len(self.firsts) + (length - self.length) * len(self.sources)


def best_split(rows: "torch.Tensor") -> Split | None:
    """The split with the fewest tokens to compute; None if none is worthwhile.

    Args:
        rows: The values that must be equal, shape (rows, tokens) or (rows, tokens, features). The
            last token of a row is never part of the prefix.

    >>> import torch
    >>> best_split(torch.tensor([[1, 2, 3, 4], [1, 2, 3, 5], [6, 2, 3, 4], [6, 2, 3, 5]]))
    Split(length=3, firsts=(0, 2), sources=(0, 0, 1, 1))
    >>> best_split(torch.tensor([[1, 2], [3, 2]])) is None
    True
    """
    count, length = rows.shape[:2]
    common = _common(rows)
    lengths = {min(common[i][j], length - 1) for i in range(count) for j in range(i)} - {0}
    splits = [_split(common, tokens) for tokens in sorted(lengths)]
    best = min(splits, key=lambda split: split.tokens(length), default=None)
    is_worth_while = best is not None and best.tokens(length) <= _WORTH * count * length
    return best if is_worth_while else None


def _common(rows: "torch.Tensor") -> list[list[int]]:
    """The length of the common prefix of every two rows."""
    equal = rows[:, None] == rows[None]
    if equal.dim() > 3:
        equal = equal.all(dim=-1)
    lengths: list[list[int]] = equal.long().cumprod(dim=-1).sum(dim=-1).tolist()
    return lengths


def _split(common: list[list[int]], length: int) -> Split:
    firsts: list[int] = []
    sources: list[int] = []
    for row, shared in enumerate(common):
        like = next((n for n, first in enumerate(firsts) if shared[first] >= length), None)
        if like is None:
            like = len(firsts)
            firsts.append(row)
        sources.append(like)
    return Split(length, tuple(firsts), tuple(sources))


def share_prefixes(model: Any) -> None:  # noqa: ANN401 - an untyped library
    """Makes a causal language model compute shared prefixes once, in training and in generation.

    Other passes (with a filled cache, or with embeddings as input) are not affected.

    Args:
        model: A Transformers model without an adapter; its decoder's ``forward`` is replaced.

    Raises:
        ValueError: The model has no separate decoder.
    """
    decoder = model.base_model
    if decoder is model:
        raise ValueError(f"share_prefixes does not know the parts of a {type(model).__name__}")
    whole = decoder.forward

    def forward(*args: Any, **inputs: Any) -> Any:  # noqa: ANN401
        split = None if args else _split_of(inputs)
        if split is None:
            return whole(*args, **inputs)
        return _in_two_passes(whole, decoder.config, split, inputs)

    decoder.forward = forward


_PER_TOKEN = ("input_ids", "attention_mask", "position_ids")
"""Inputs of shape (rows, tokens)."""


def _split_of(inputs: dict[str, Any]) -> Split | None:
    import torch
    from transformers import DynamicCache

    cache = inputs.get("past_key_values")
    is_fresh = cache is None or (type(cache) is DynamicCache and cache.get_seq_length() == 0)
    tensors = {name: one for name, one in inputs.items() if isinstance(one, torch.Tensor)}
    ids = tensors.get("input_ids")
    if ids is None or not is_fresh:
        return None
    if any(name not in _PER_TOKEN or one.shape != ids.shape for name, one in tensors.items()):
        return None
    return best_split(torch.stack(list(tensors.values()), dim=-1))


def _in_two_passes(whole: Any, config: Any, split: Split, inputs: dict[str, Any]) -> Any:  # noqa: ANN401
    """Computes the prefixes, and then the rest of each row."""
    import torch
    from transformers import DynamicCache
    from transformers.modeling_outputs import BaseModelOutputWithPast

    rows = {name: inputs[name] for name in _PER_TOKEN if inputs.get(name) is not None}
    rest = {name: value for name, value in inputs.items() if name not in rows}
    given = rest.pop("past_key_values", None)
    is_kept = rest.pop("use_cache", None)
    cache = DynamicCache(config=config) if given is None else given

    firsts, sources = torch.tensor(split.firsts), torch.tensor(split.sources)
    begin = {name: value[firsts, : split.length] for name, value in rows.items()}
    first = whole(**begin, **rest, past_key_values=cache, use_cache=True)
    cache.batch_select_indices(sources.to(first.last_hidden_state.device))
    end = {name: value[:, split.length :] for name, value in rows.items()}
    if "attention_mask" in rows:
        end["attention_mask"] = rows["attention_mask"]  # of what the cache holds, too
    second = whole(**end, **rest, past_key_values=cache, use_cache=True)
    parts = (first.last_hidden_state[sources], second.last_hidden_state)
    hidden: Any = torch.cat(parts, dim=1)
    return BaseModelOutputWithPast(
        last_hidden_state=hidden,
        past_key_values=cache if is_kept or given is not None else None,
    )
