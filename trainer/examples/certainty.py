"""How certain a model is of each *extend* decision, and its embeddings of the questions."""

from collections.abc import Sequence
from itertools import takewhile
from typing import TYPE_CHECKING, Any

import torch
from torch.nn.utils.rnn import pad_sequence

from shared.decisions import Extend
from shared.errors import ModelError
from shared.language.completions import render_completion
from trainer.models.chat import answer_frame, prompt_text
from trainer.models.shared_prefix import share_prefixes

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from trainer.models.loading import LoadedModel

__all__ = ["DecisionReader"]

Messages = Sequence[dict[str, str]]


class DecisionReader:
    """Queries a model without generation, in one pass over many prompts.

    The common beginning of the prompts in a batch is computed only once.

    Args:
        loaded: The model and its tokenizer.
        batch_size: Prompts per forward pass.
    """

    def __init__(self, loaded: "LoadedModel", batch_size: int = 64) -> None:
        self._tokenizer: Any = loaded.tokenizer
        self._model: Any = loaded.model.eval()
        self._batch_size = batch_size
        share_prefixes(self._model)
        self._before, self._yes, self._no = self._deciding()

    def yes_shares(self, prompts: Sequence[Messages]) -> torch.Tensor:
        """Log-probabilities of *yes* and of *no*, normalised over the two.

        They are read at the first token in which the two answers differ.

        Returns:
            (prompts, 2), on the CPU.
        """
        rows = [self._ids(prompt_text(self._tokenizer, one)) + self._before for one in prompts]
        found = []
        with torch.inference_mode():
            for batch in self._batches(rows):
                ids, mask, last = batch
                keep = ids.shape[1] - int(last.min())
                logits = self._model(
                    input_ids=ids, attention_mask=mask, logits_to_keep=keep, use_cache=False
                ).logits
                at = last - (ids.shape[1] - keep)
                pairs = logits[torch.arange(len(ids)), at][:, [self._yes, self._no]]
                found.append(pairs.float().log_softmax(-1).cpu())
        return torch.cat(found)

    def embeddings(self, prompts: Sequence[Messages]) -> "NDArray[np.float32]":
        """The mean of the last layer's states over the question's tokens, (prompts, width)."""
        texts = [prompt_text(self._tokenizer, [one[-1]]) for one in prompts]
        found = []
        with torch.inference_mode():
            for ids, mask, _ in self._batches([self._ids(text) for text in texts]):
                states = self._model.base_model(input_ids=ids, attention_mask=mask)
                hidden = states.last_hidden_state.float() * mask[..., None]
                found.append((hidden.sum(1) / mask.sum(1, keepdim=True)).cpu())
        vectors: NDArray[np.float32] = torch.cat(found).numpy()
        return vectors

    def _batches(self, rows: list[list[int]]) -> "list[tuple[Any, Any, Any]]":
        """Tokens padded on the right, their mask, and the position of each row's last token."""
        place, found = self._model.device, []
        for start in range(0, len(rows), self._batch_size):
            some = [torch.tensor(row) for row in rows[start : start + self._batch_size]]
            ids = pad_sequence(some, batch_first=True).to(place)
            last = torch.tensor([len(row) - 1 for row in some], device=place)
            mask = (torch.arange(ids.shape[1], device=place) <= last[:, None]).long()
            found.append((ids, mask, last))
        return found

    def _deciding(self) -> tuple[list[int], int, int]:
        """The tokens with which both answers begin, and the first two in which they differ."""
        frame = answer_frame(self._tokenizer)
        yes, no = (
            self._ids(frame.text(render_completion(Extend(extend=extend))))
            for extend in (True, False)
        )
        pairs = zip(yes, no, strict=False)
        common = [one for one, _ in takewhile(lambda pair: pair[0] == pair[1], pairs)]
        if len(common) == min(len(yes), len(no)):
            raise ModelError("the tokenizer does not tell yes from no", "unusable_tokenizer")
        return common, yes[len(common)], no[len(common)]

    def _ids(self, text: str) -> list[int]:
        ids: list[int] = self._tokenizer(text, add_special_tokens=False)["input_ids"]
        return ids
