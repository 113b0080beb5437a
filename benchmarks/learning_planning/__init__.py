"""The proof of learning to plan: does GRPO through the reward URL solve more held-out problems?

``python -m benchmarks.learning_planning`` builds problems, teaches a small language model of our
own by reference plans, trains it on by GRPO with rewards from a real ``greenfork serve``, once with
a curriculum and once without, and has all of them solve problems of sizes that training did not
see. Stages, commands and claims are those of :mod:`benchmarks.learning`.
"""

__all__: list[str] = []
