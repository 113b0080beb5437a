"""The selector: attends from the query and the items chosen so far to the pool.

A pointer network (Vinyals et al. 2015, "Pointer Networks") whose decoder is a causal transformer:
it reads the query, then each item as it is chosen, and the next choice is a softmax over the items
of the pool that have not been chosen yet. The pool's embeddings are saved with the weights.
"""

import math
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PretrainedConfig, PreTrainedModel

from trainer.offline.losses import token_logps

__all__ = ["PAD", "PointerModel", "PointerShape"]

PAD = -1
"""In sequences of positions: no choice here."""

_LEAST_SCALE = 1e-6
_SIMILARITY = 5.0


class PointerShape(PretrainedConfig):  # type: ignore[no-untyped-call]
    """The sizes of a selector.

    Args:
        pool_size: Number of items in the pool.
        candidate_size: Size of an item's embedding.
        query_size: Size of a query's embedding.
        length: Length of the longest selection.
        has_end: Whether it learns where a selection ends; otherwise all have the same length.
        hidden_size: Width of the decoder.
        layers: Number of layers of the decoder.
        attention_heads: Attention heads of each layer.
        ***more: Further settings that the Transformers library stores.
    """

    model_type = "greenfork_pointer"

    def __init__(
        self,
        pool_size: int = 1,
        candidate_size: int = 1,
        query_size: int = 1,
        length: int = 1,
        has_end: bool = False,
        hidden_size: int = 128,
        layers: int = 2,
        attention_heads: int = 4,
        **more: Any,  # noqa: ANN401 - an untyped library
    ) -> None:
        self.pool_size = pool_size
        self.candidate_size = candidate_size
        self.query_size = query_size
        self.length = length
        self.has_end = has_end
        self.hidden_size = hidden_size
        self.layers = layers
        self.attention_heads = attention_heads
        super().__init__(**more)


class PointerModel(PreTrainedModel):  # type: ignore[no-untyped-call]
    """A selector over one pool.

    ``forward`` returns log-probabilities; :mod:`trainer.pointer.selection` uses them to choose.
    """

    config_class = PointerShape
    main_input_name = "queries"

    def __init__(self, config: PointerShape) -> None:
        super().__init__(config)
        width = config.hidden_size
        self.read_query = _reader(config.query_size, width)
        self.read_candidate = _reader(config.candidate_size, width)
        self.places = nn.Embedding(config.length + 1, width)
        layer = nn.TransformerEncoderLayer(
            width, config.attention_heads, 4 * width, dropout=0.0, batch_first=True, norm_first=True
        )
        self.decoder = nn.TransformerEncoder(layer, config.layers, enable_nested_tensor=False)
        self.ask = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.end = nn.Parameter(torch.zeros(width))
        self.similarity = nn.Parameter(torch.tensor(_SIMILARITY))
        self.register_buffer("pool", torch.zeros(config.pool_size, config.candidate_size))
        self.register_buffer("query_mean", torch.zeros(config.query_size))
        self.register_buffer("query_scale", torch.ones(config.query_size))
        self.post_init()  # type: ignore[no-untyped-call]

    def _init_weights(self, module: nn.Module) -> None:
        """Keeps PyTorch's initial weights: a language model's would be too small to choose."""

    @classmethod
    def new(cls, config: PointerShape, pool: Tensor, queries: Tensor) -> "PointerModel":
        """An untrained selector.

        If queries and items have embeddings of the same size, it prefers items that are similar to
        the query.

        Args:
            config: The sizes.
            pool: Embeddings of the pool, (pool_size, candidate_size).
            queries: Embeddings of the training queries, (…, query_size), whose mean and standard
                deviation standardise all queries.
        """
        model = cls(config)
        model.pool.copy_(pool)  # type: ignore[operator]
        model.query_mean.copy_(queries.mean(0))  # type: ignore[operator]
        model.query_scale.copy_(_scale(queries))  # type: ignore[operator]
        return model

    def forward(self, queries: Tensor, targets: Tensor) -> Tensor:
        """The log-probability of each choice, given the query and the choices before it.

        Args:
            queries: (C, query_size), embeddings.
            targets: (C, T), positions in the pool; the pool's size for the end, ``PAD`` after it.

        Returns:
            (C, T), at most 0; 0 at ``PAD``.
        """
        logits = self.logits(queries, targets)
        return token_logps(logits, targets.clamp(min=0)).masked_fill(targets == PAD, 0.0)

    def logits(self, queries: Tensor, targets: Tensor) -> Tensor:
        """The logits of each choice before the softmax, (C, T, items and the end).

        Each step reads only the choices before it, and excludes them.
        """
        items = self._items()
        read = self.read_candidate(items)
        asked = (queries - self.query_mean) / self.query_scale  # type: ignore[operator]
        chosen = targets[:, :-1].clamp(min=0, max=len(items) - 1)
        seen = torch.cat([self.read_query(asked)[:, None], read[chosen]], dim=1)
        steps = torch.arange(seen.shape[1], device=seen.device)
        mask = nn.Transformer.generate_square_subsequent_mask(len(steps), device=seen.device)
        states = self.decoder(seen + self.places(steps), mask=mask, is_causal=True)
        keys = self.key(read)
        if self.config.has_end:
            keys = torch.cat([keys, self.end[None]])
        logits: Tensor = self.ask(states) @ keys.T / math.sqrt(self.config.hidden_size)
        logits = logits + self._likeness(asked, items, keys.shape[0])[:, None]
        return logits.masked_fill(_taken(targets, keys.shape[0], len(items)), -torch.inf)

    def _items(self) -> Tensor:
        pool: Tensor = self.pool  # type: ignore[assignment]
        return (pool - pool.mean(0)) / _scale(pool)

    def _likeness(self, asked: Tensor, items: Tensor, keys: int) -> Tensor:
        """The weighted cosine similarity of each query and item, 0 for the end, (C, keys)."""
        if asked.shape[-1] != items.shape[-1]:
            return asked.new_zeros(len(asked), keys)
        alike = nn.functional.normalize(asked, dim=-1) @ nn.functional.normalize(items, dim=-1).T
        return nn.functional.pad(self.similarity * alike, (0, keys - len(items)))


def _reader(size: int, width: int) -> nn.Module:
    return nn.Sequential(nn.Linear(size, width), nn.GELU(), nn.Linear(width, width))


def _scale(values: Tensor) -> Tensor:
    """The population standard deviation of each column; 1 for a constant one."""
    found = values.std(0, correction=0)
    return torch.where(found > _LEAST_SCALE, found, torch.ones_like(found))


def _taken(targets: Tensor, keys: int, items: int) -> Tensor:
    """Which items have already been chosen at each step, (C, T, keys); the end never has."""
    picks = nn.functional.one_hot(targets.clamp(min=0), keys).bool()
    picks &= ((targets != PAD) & (targets < items))[..., None]
    before = picks.long().cumsum(1) - picks.long()
    return before.bool()
