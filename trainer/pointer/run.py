"""The training of a selector: imitation, then the two stages of :mod:`trainer.offline`."""

import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, cast

from trainer.environment import is_first_rank, stay_offline
from trainer.offline.run import StagedRun
from trainer.pointer.config import PointerConfig
from trainer.pointer.preparation import PreparedPointer, prepare_pointer

if TYPE_CHECKING:
    from torch import Tensor

    from trainer.offline.batches import Collator, EncodedGroup
    from trainer.pointer.beams import BeamGroup
    from trainer.pointer.model import PointerModel
    from trainer.runs.reports import OfflineReport

__all__ = ["train_pointer"]

_POOL = "pool.jsonl"


def train_pointer(config: PointerConfig, show_progress: bool = True) -> "OfflineReport":
    """Trains a selector on scored selections from a pool, in three stages.

    Writes into ``output_dir`` what :func:`trainer.offline.run.train_offline` writes, ``sft/`` with
    the checkpoints of the imitation, and, for a new selector, ``untrained/``. The pool is in
    ``model/`` with the weights.

    Args:
        config: The settings.
        show_progress: Whether progress is shown on standard error.

    Raises:
        InputError: A file or a setting is unusable.
        TrainingStopped: A signal ended the run. A checkpoint was saved.
    """
    stay_offline()
    return _PointerRun(config, prepare_pointer(config), show_progress).run()


class _PointerRun(StagedRun[PointerConfig]):
    """The three stages of training a selector."""

    @property
    def start(self) -> PointerConfig:
        """The settings with the selector to load; a new one has been saved to a folder by then."""
        return self._pointer.start

    @property
    def _pointer(self) -> PreparedPointer:
        return cast("PreparedPointer", self._ready)

    def load(self) -> None:
        """Loads a new selector, which is saved first, or one of an earlier run on the same pool."""
        from trainer.pointer.selection import load_pointer
        from trainer.ranks import from_ranks

        if self._config.is_new and self._ready.checkpoint is None and is_first_rank():
            self._new().save_pretrained(self.start.model_path)
        from_ranks(None)
        model = load_pointer(self.start.model_path)
        self._check_fit(model)
        self._model = model
        self._model.to(self._ready.hardware.place)

    def _new(self) -> "PointerModel":
        import torch

        from trainer.pointer.model import PointerModel, PointerShape

        ready, config = self._pointer, self._config
        shape = PointerShape(
            pool_size=len(ready.pool),
            candidate_size=ready.pool_vectors.shape[1],
            query_size=ready.query_vectors.shape[1],
            length=ready.length,
            has_end=ready.has_end,
            hidden_size=config.hidden_size,
            layers=config.layers,
            attention_heads=config.attention_heads,
        )
        asked = torch.from_numpy(ready.query_vectors)[ready.train_rows]
        return PointerModel.new(shape, torch.from_numpy(ready.pool_vectors), asked)

    def _check_fit(self, model: "PointerModel") -> None:
        """Refuses a selector for a different pool, or for other queries or lengths."""
        import torch

        from shared.errors import ModelError

        ready, shape = self._pointer, model.config
        items: Tensor = model.pool  # type: ignore[assignment]
        if not torch.equal(items.cpu(), torch.from_numpy(ready.pool_vectors)):
            raise ModelError(
                f"the selector {self.start.model_path} was trained on another pool: train a new "
                "one (model_path: new), or give the embeddings of its pool"
            )
        if shape.query_size != ready.query_vectors.shape[1]:
            raise ModelError(
                f"the selector {self.start.model_path} reads queries of {shape.query_size} "
                f"numbers, but the embeddings have {ready.query_vectors.shape[1]}"
            )
        if (shape.length, shape.has_end) != (ready.length, ready.has_end):
            raise ModelError(
                f"the selector {self.start.model_path} learned selections of other lengths; train "
                "a new one (model_path: new)"
            )

    @property
    def collator(self) -> "Collator":
        """The collator, which looks up the queries' embeddings."""
        import torch

        from trainer.pointer.batches import collate

        return partial(collate, embeddings=torch.from_numpy(self._pointer.query_vectors))

    def encoded(self) -> "tuple[list[EncodedGroup], list[EncodedGroup]]":
        """The queries as rows of embeddings, and the candidates as positions in the pool."""
        from trainer.pointer.batches import encode

        ready, top_k = self._pointer, self._config.top_k
        end = len(ready.pool) if ready.has_end else None
        train = cast("list[BeamGroup]", ready.train)
        held_out = cast("list[BeamGroup]", ready.validation)
        return (
            encode(train, ready.train_rows, ready.train_advantages, top_k, end),
            encode(held_out, ready.validation_rows, ready.validation_advantages, top_k, end),
        )

    def _imitate(self, train: "list[EncodedGroup]", held_out: "list[EncodedGroup]") -> None:
        """Imitates the best candidates, and then runs stage 1."""
        from trainer.offline.stages import ImitationStage
        from trainer.runs.arguments import stage_arguments

        config = self._config
        if self._is_to_run("sft", config.sft_epochs):
            given = self._given("sft", config.sft_epochs, "eval_loss", train, held_out)
            metric = "eval_loss" if held_out else None
            folder, hardware = Path(config.output_dir) / "sft", self._ready.hardware
            own = stage_arguments(config.for_sft, hardware, folder, config.sft_epochs, metric)
            self._run_stage(ImitationStage(**given | {"args": own}), "sft")
        super()._imitate(train, held_out)

    def _save(self, model: "PointerModel", tokenizer: object) -> None:
        """Saves the selector with the pool from which it chooses."""
        folder = self._files.trained
        model.save_pretrained(folder)
        lines = [json.dumps(row, default=str) for row in self._pointer.pool.rows]
        (folder / _POOL).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
