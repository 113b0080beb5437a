"""``python -m benchmarks.gpu.measured_run FILE``: one GRPO run, measured from inside.

The file is JSON: ``overrides`` of a preset, the ``preset``, and where the figures go. A process of
its own, because Unsloth changes the libraries that it is imported before.
"""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

__all__ = ["main"]


def main(task: Path) -> None:
    """Trains, and writes seconds, tokens and memory."""
    asked = json.loads(task.read_text())
    from trainer import load_config, train_grpo

    config = load_config(asked["preset"], asked["overrides"])
    spent = {"generation": 0.0, "tokens": 0}
    if config.backend == "unsloth" and config.device != "cpu":
        import unsloth

        assert unsloth  # noqa: S101 - before TRL, which it changes
    import torch
    from trl import GRPOTrainer

    _time_generation(GRPOTrainer, spent)
    began = time.monotonic()
    report = train_grpo(config, show_progress=False)
    found = {
        "steps": report.steps,
        "seconds_per_step": report.seconds_per_step,
        "waited_share": report.reward_wait_share,
        "invalid_share": report.invalid_share,
        "failed_share": report.failed_share,
        "training_seconds": report.seconds,
        "seconds": time.monotonic() - began,
        "generation_seconds": spent["generation"],
        "tokens_per_second": spent["tokens"] / spent["generation"] if spent["generation"] else None,
        "memory_gib": _memory_gib(torch),
        "merged": str(report.files.merged or report.files.model or ""),
    }
    Path(asked["figures"]).write_text(json.dumps(found))


def _time_generation(kind: Any, spent: dict[str, Any]) -> None:  # noqa: ANN401 - TRL's class
    """Adds up the time in which answers are generated, and their tokens."""
    real: Callable[..., Any] = kind._generate

    def timed(self: Any, *given: Any, **more: Any) -> Any:  # noqa: ANN401
        began = time.monotonic()
        found = real(self, *given, **more)
        spent["generation"] += time.monotonic() - began
        answers = found[1]
        spent["tokens"] += sum(len(one) for one in answers)
        return found

    kind._generate = timed


def _memory_gib(torch: Any) -> float | None:  # noqa: ANN401
    """The most that this process had on the GPU at a time; None without one."""
    if not torch.cuda.is_available():
        return None
    return float(torch.cuda.max_memory_reserved()) / 2**30


if __name__ == "__main__":
    main(Path(sys.argv[1]))
