"""Solved decision points as examples in prompts: which to show, and how much they help.

It has a pool of solved points, sequences of them scored by a model's own certainty of the best
decision, and ways to choose among them: nearest, random, or a selector of :mod:`trainer.pointer`.
"""

from trainer.examples.solved import ExamplePool, SolvedPoint, shown

__all__ = ["ExamplePool", "SolvedPoint", "shown"]
