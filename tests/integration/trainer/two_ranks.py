"""What each of two ranks does in ``test_ranks``: a whole run, and one that is lost and goes on.

The ranks are told who they are as ``torchrun`` tells them, by their environment. They are forked by
a process that has imported everything, which takes each of them longer than to train.
"""

import os
import socket
import sys
import traceback
from pathlib import Path
from unittest.mock import patch

import torch

from shared.errors import TrainingStopped
from trainer import load_config, train_grpo
from trainer.environment import is_first_rank

__all__ = ["RANKS", "main"]

RANKS = 2


def main() -> None:
    """Forks the ranks; ends with the first status that is not 0."""
    from trl import GRPOTrainer

    assert GRPOTrainer
    torch.set_num_threads(1)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        meeting = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1])}
    pids = [_fork(rank, meeting) for rank in range(RANKS)]
    statuses = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]
    sys.exit(next(filter(None, statuses), 0))


def _fork(rank: int, meeting: dict[str, str]) -> int:
    """Starts a rank, and gives its process id."""
    if pid := os.fork():
        return pid
    own = {"RANK": str(rank), "LOCAL_RANK": str(rank)}
    os.environ.update(meeting | own | {"WORLD_SIZE": str(RANKS), "LOCAL_WORLD_SIZE": str(RANKS)})
    status = 1
    try:
        with patch("trainer.plots._save"):  # nobody looks at the pictures
            _train()
        status = 0
    except Exception:  # noqa: BLE001  the parent is told by the status
        traceback.print_exc()
    finally:
        os._exit(status)


def _train() -> None:
    """Trains by the first file, then by the second until the service is lost, then to its end."""
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
