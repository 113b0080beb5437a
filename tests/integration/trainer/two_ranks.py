"""What each of two ranks does in ``test_ranks``: a whole run, and one that is lost and goes on."""

import sys
from pathlib import Path
from unittest.mock import patch

import torch

from shared.errors import TrainingStopped
from trainer import load_config, train_grpo
from trainer.environment import is_first_rank

__all__ = ["main"]


def main() -> None:
    """Trains by the first file, then by the second until the service is lost, then to its end."""
    torch.set_num_threads(1)
    with patch("trainer.plots._save"):  # nobody looks at the pictures
        _train()


def _train() -> None:
    whole, lost = (load_config(file) for file in sys.argv[1:])
    train_grpo(whole)
    try:
        train_grpo(lost)
    except TrainingStopped as stopped:
        Path(lost.output_dir, f"stopped-{int(is_first_rank())}").write_text(stopped.message)
        resumed = lost.model_copy(update={"resume_from_checkpoint": "latest"})
        report = train_grpo(resumed)
        if is_first_rank():
            Path(lost.output_dir, "report.json").write_text(report.model_dump_json())


if __name__ == "__main__":
    main()
