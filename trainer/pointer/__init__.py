"""A selector over a pool: which of its items to pick for a query, and in which order.

It is trained on scored candidates with the same losses as a language model
(:mod:`trainer.offline`); a candidate is a sequence of positions in the pool. Importing this package
is cheap; modules that need torch are imported when they are first used.
"""

from typing import TYPE_CHECKING

from trainer.lazy import lazy_names
from trainer.pointer.config import PointerConfig

if TYPE_CHECKING:
    from trainer.pointer.dataset import BeamDataset
    from trainer.pointer.model import PointerModel
    from trainer.pointer.run import train_pointer
    from trainer.pointer.selection import select

__all__ = ["BeamDataset", "PointerConfig", "PointerModel", "select", "train_pointer"]

__getattr__ = lazy_names(
    __name__,
    {
        "BeamDataset": "trainer.pointer.dataset",
        "PointerModel": "trainer.pointer.model",
        "select": "trainer.pointer.selection",
        "train_pointer": "trainer.pointer.run",
    },
)
