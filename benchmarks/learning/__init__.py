"""The proof of learning: does a model that is trained through the reward URL decide better?

``python -m benchmarks.learning`` builds decision points, warm-starts a small language model of our
own, trains it by GRPO with rewards from a real ``greenfork serve``, and judges it on simulations
that nothing was trained or tuned on, beside rules, a ceiling, and a control with shuffled rewards.
"""

__all__: list[str] = []
