"""The settings of a pointer's training."""

from typing import Self

from pydantic import Field, model_validator

from trainer.offline.config import OfflineConfig

__all__ = ["NEW", "PointerConfig"]

NEW = "new"
"""The ``model_path`` of a selector that starts from nothing."""


class PointerConfig(OfflineConfig):
    """Every setting of ``greenfork train offline --policy pointer``.

    >>> PointerConfig(beam_data="beams.json").sft_epochs
    20
    """

    model_path: str = Field(default=NEW, min_length=1)
    """``new``, or a folder with a selector of an earlier run."""
    beam_data: str = ""
    """Scored selections: a JSON, JSONL or Parquet file with ``id_list``, positions in the pool from
    0 on, and ``score_list``. Required."""
    output_dir: str = Field(default="runs/pointer", min_length=1)
    """Output folder for checkpoints, the selector, metrics and the plot."""
    pool: str = ""
    """The items to choose from: a text file with one a line, or a CSV, JSON, JSONL or Parquet
    table. Required."""
    pool_embeddings: str = ""
    """Embeddings of the pool's items, in its order: ``.npz``, ``.safetensors`` or Parquet.
    Required."""
    query_embeddings: str = ""
    """Embeddings of the queries, in the same formats: with ``ids``, or in the order of the
    queries. Required."""
    validation_embeddings: str | None = None
    """Embeddings of the queries in ``validation_data``; null uses ``query_embeddings``."""

    lora_rank: int = Field(default=0, ge=0, le=0)
    """A selector has no adapter."""
    hidden_size: int = Field(default=128, ge=8, le=4096)
    """Width of a new selector; a multiple of ``attention_heads``."""
    layers: int = Field(default=2, ge=1, le=24)
    """Layers of a new selector."""
    attention_heads: int = Field(default=4, ge=1, le=64)
    """Attention heads of a new selector."""

    sft_epochs: int = Field(default=20, ge=0, le=1000)
    """Epochs of imitation of each query's best candidate, before stage 1; 0 skips it."""
    sft_learning_rate: float | None = Field(default=1e-3, gt=0, lt=1)
    """Peak learning rate of this imitation."""
    sequence_weight: float = Field(default=0.0, ge=0)
    """Weight of the coherence and diversity of a candidate's sequence."""
    optim: str = Field(default="adamw_torch", min_length=1)
    """Optimizer, by its name in Transformers."""
    batch_size: int = Field(default=16, ge=1)
    """Queries per forward pass, each with all of its candidates."""
    gradient_accumulation_steps: int = Field(default=1, ge=1)
    """Forward passes per optimizer step."""

    @model_validator(mode="after")
    def _heads_that_fit(self) -> Self:
        if self.hidden_size % self.attention_heads:
            raise ValueError(
                f"hidden_size ({self.hidden_size}) must be a multiple of attention_heads "
                f"({self.attention_heads})"
            )
        return self

    @property
    def is_new(self) -> bool:
        """Whether the selector starts from nothing."""
        return self.model_path == NEW

    @property
    def for_sft(self) -> Self:
        """The settings of the imitation: its own learning rate."""
        return self.model_copy(update={"learning_rate": self.sft_learning_rate or self.peak_rate})
