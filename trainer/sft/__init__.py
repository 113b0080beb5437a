"""Supervised training: how a model learns the form of the answer, and to read a junction's state.

A cold start teaches decisions, the best known ones or merely legal ones; a warm start teaches the
skills that reinforcement learning builds on. Importing this package is cheap; what needs torch is
imported when a model is trained.
"""

from typing import TYPE_CHECKING

from trainer.lazy import lazy_names
from trainer.sft.config import LessonShares, SFTTrainingConfig

if TYPE_CHECKING:
    from trainer.runs.reports import SFTReport
    from trainer.sft.run import train_sft

__all__ = ["LessonShares", "SFTReport", "SFTTrainingConfig", "train_sft"]

__getattr__ = lazy_names(
    __name__, {"SFTReport": "trainer.runs.reports", "train_sft": "trainer.sft.run"}
)
