"""Which solved decision points a prompt shows before its question, and what that is worth.

A pool of solved points, sequences of them scored by a model's own certainty of the best decision,
and choosers among them: nearest, random, or a selector of :mod:`trainer.pointer`.
"""

from trainer.examples.solved import ExamplePool, SolvedPoint, shown

__all__ = ["ExamplePool", "SolvedPoint", "shown"]
