"""Candidate groups as tensors: tokens, advantages, and stored log-probabilities.

Prompts are padded on the left and candidates on the right, so that every candidate begins at the
same position and only the logits from there on are computed.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import structlog
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from shared.errors import DatasetError
from trainer.models.chat import answer_frame, prompt_text
from trainer.offline.advantages import top_candidates
from trainer.offline.candidates import Candidate, CandidateGroup
from trainer.offline.losses import token_logps

if TYPE_CHECKING:
    from torch.nn import Module
    from transformers import PreTrainedTokenizerBase

__all__ = [
    "Collator",
    "EncodedGroup",
    "Encoder",
    "by_group",
    "candidate_logps",
    "collate",
    "rows_of",
    "with_stored",
]

_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class EncodedGroup:
    """One query as the model reads it, with the advantages and scores of its candidates."""

    prompt: tuple[int, ...]
    """Token ids; for a pointer, the row of the query's embedding."""
    candidates: tuple[tuple[int, ...], ...]
    """Token ids of each, the end of the text included; for a pointer, positions in the pool."""
    advantages: tuple[float, ...]
    is_top: tuple[bool, ...]
    """Whether an early epoch of stage 2 uses it."""
    scores: tuple[float, ...]
    """As read from the file."""
    stored: tuple[Tensor, ...] | None = None
    """Log-probabilities of each candidate's tokens under the model that stage 2 starts from."""
    where: str = ""
    """The file and the row of a query of text."""


Collator = Callable[[Sequence[EncodedGroup]], dict[str, Tensor]]
"""Makes a batch, as :func:`collate` does for a language model."""


class Encoder:
    """Tokenizes queries and their candidates.

    Args:
        tokenizer: Already set up by :func:`trainer.models.chat.prepare_chat`.
        max_length: Maximum length of a prompt plus a candidate, tokens.
        top_k: Number of candidates that early epochs use.
    """

    def __init__(
        self, tokenizer: "PreTrainedTokenizerBase", max_length: int, top_k: int | None
    ) -> None:
        self._tokenizer = tokenizer
        self._frame = answer_frame(tokenizer)
        self._max_length = max_length
        self._top_k = top_k

    def encode(
        self, groups: Sequence[CandidateGroup], advantages: Sequence[Sequence[float]]
    ) -> list[EncodedGroup]:
        """Encodes the groups that fit into ``max_length``, in order.

        Args:
            groups: The queries.
            advantages: Advantages of the candidates of each query.

        Raises:
            DatasetError: None of them fits, or a token id is not one of the model's.
        """
        encoded = [
            self._group(group, tuple(worth))
            for group, worth in zip(groups, advantages, strict=True)
        ]
        fitting = [one for one in encoded if _length(one) <= self._max_length]
        if encoded and not fitting:
            raise DatasetError(f"every query is longer than max_seq_length = {self._max_length}")
        if len(fitting) < len(encoded):
            _log.warning("left out long queries", queries=len(encoded) - len(fitting))
        return fitting

    def _group(self, group: CandidateGroup, advantages: tuple[float, ...]) -> EncodedGroup:
        return EncodedGroup(
            prompt=self._ids(prompt_text(self._tokenizer, group.prompt)),
            candidates=tuple(self._candidate(one, group.where) for one in group.candidates),
            advantages=advantages,
            is_top=tuple(top_candidates(advantages, self._top_k)),
            scores=tuple(one.score for one in group.scored),
            where=group.where,
        )

    def _candidate(self, candidate: Candidate, where: str) -> tuple[int, ...]:
        if candidate.tokens is None:
            return self._ids(self._frame.text(candidate.text or ""))
        end = self._tokenizer.eos_token_id
        size = len(self._tokenizer)
        if outside := [token for token in candidate.tokens if not 0 <= token < size]:
            raise DatasetError(
                f"{where}: id_list holds the token id {outside[0]}; the model has 0 to {size - 1}"
            )
        return candidate.tokens if candidate.tokens[-1] == end else (*candidate.tokens, end)

    def _ids(self, text: str) -> tuple[int, ...]:
        return tuple(self._tokenizer(text, add_special_tokens=False)["input_ids"])


def _length(group: EncodedGroup) -> int:
    return len(group.prompt) + max(len(candidate) for candidate in group.candidates)


def with_stored(groups: Sequence[EncodedGroup], stored: Sequence[Tensor]) -> list[EncodedGroup]:
    """The groups with the log-probabilities of all their candidates, in order."""
    found, rest = [], list(stored)
    for group in groups:
        own, rest = rest[: len(group.candidates)], rest[len(group.candidates) :]
        found.append(replace(group, stored=tuple(own)))
    return found


def collate(groups: Sequence[EncodedGroup], pad: int) -> dict[str, Tensor]:
    """A batch with one row per candidate, over all groups; C rows in all.

    Args:
        groups: At least one.
        pad: The padding token.

    Returns:
        ``input_ids``, ``attention_mask``, ``position_ids`` (C, P + T); ``targets``, ``mask`` and,
        if known, ``stored`` (C, T); ``advantages``, ``scores``, ``is_top`` (C,); ``sizes``, the
        number of candidates in each group.
    """
    candidates = [torch.tensor(one) for group in groups for one in group.candidates]
    lengths = torch.tensor([len(one) for one in candidates])
    targets = pad_sequence(candidates, batch_first=True, padding_value=pad)
    mask = (torch.arange(targets.shape[1]) < lengths[:, None]).float()
    asked = [torch.tensor(group.prompt) for group in groups for _ in group.candidates]
    prompts, shown = (
        pad_sequence(rows, batch_first=True, padding_value=filling, padding_side="left")
        for rows, filling in ((asked, pad), ([torch.ones_like(one) for one in asked], 0))
    )
    attention = torch.cat([shown, mask.long()], dim=1)
    batch = {
        "input_ids": torch.cat([prompts, targets], dim=1),
        "attention_mask": attention,
        "position_ids": (attention.cumsum(1) - 1).clamp(min=0),
        "targets": targets,
        "mask": mask,
        "advantages": torch.tensor([a for group in groups for a in group.advantages]),
        "scores": torch.tensor([s for g in groups for s in g.scores], dtype=torch.float64),
        "is_top": torch.tensor([top for group in groups for top in group.is_top]),
        "sizes": torch.tensor([len(group.candidates) for group in groups]),
    }
    stored = [one for group in groups for one in group.stored or ()]
    if stored:
        batch["stored"] = pad_sequence(stored, batch_first=True)
    return batch


def rows_of(batch: dict[str, Tensor], keep: Tensor) -> dict[str, Tensor]:
    """A batch reduced to some of its candidates.

    Args:
        batch: As returned by :func:`collate`.
        keep: (C,), which candidates to keep; at least one of every group.
    """
    kept = {name: value[keep] for name, value in batch.items() if name != "sizes"}
    counts = [int(part.sum()) for part in by_group(keep, batch["sizes"])]
    return kept | {"sizes": torch.tensor(counts, device=keep.device)}


def by_group(values: Tensor, sizes: Tensor) -> tuple[Tensor, ...]:
    """Splits values into those of each group's candidates.

    Args:
        values: (C, …).
        sizes: Number of candidates in each group, summing to C.

    >>> by_group(torch.tensor([1, 2, 3]), torch.tensor([1, 2]))
    (tensor([1]), tensor([2, 3]))
    """
    return values.split_with_sizes(sizes.tolist())


def candidate_logps(model: "Module", batch: dict[str, Tensor]) -> Tensor:
    """The log-probabilities of the candidates' tokens, (C, T); 0 where there is padding.

    Args:
        model: A language model; or a pointer, if the batch has ``queries``.
        batch: As :func:`collate` makes it, or :func:`trainer.pointer.batches.collate`.
    """
    if "queries" in batch:
        picked: Tensor = model(batch["queries"], batch["targets"])
        return picked * batch["mask"]
    length = batch["targets"].shape[1]
    logits = model(
        input_ids=batch["input_ids"],
        attention_mask=batch["attention_mask"],
        position_ids=batch["position_ids"],
        logits_to_keep=length + 1,
        use_cache=False,
    ).logits
    return token_logps(logits[:, -length - 1 : -1], batch["targets"]) * batch["mask"]
