"""``python -m trainer``: a GRPO run by the flags that users of the earlier scripts know.

``greenfork train grpo`` has every option, ``--dry-run`` and a report; this has a configuration and
what overrides it.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from shared.errors import GreenforkError, InputError
from trainer.grpo.config import load_config

if TYPE_CHECKING:
    from trainer.runs.reports import TrainingReport

__all__ = ["main", "parse_args", "run"]

_OPTIONS: tuple[tuple[str, str, type], ...] = (
    ("--model-path", "model_path", str),
    ("--dataset-path", "dataset_path", str),
    ("--output-dir", "output_dir", str),
    ("--reward-url", "reward_url", str),
    ("--learning-rate", "learning_rate", float),
    ("--batch-size", "batch_size", int),
    ("--num-epochs", "num_train_epochs", float),
    ("--max-steps", "max_steps", int),
)


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The options, by the names of the settings that they override; None where not given.

    Args:
        argv: The arguments; by default those of the process.

    >>> parse_args(["--config", "my.yaml", "--max_steps", "5"]).max_steps
    5
    """
    parser = argparse.ArgumentParser(
        prog="python -m trainer",
        description="Train by GRPO. greenfork train grpo has more options.",
    )
    parser.add_argument("--config", help="a YAML file, or the name of a preset")
    for flag, name, kind in _OPTIONS:
        spelt = (flag, f"--{flag[2:].replace('-', '_')}")
        parser.add_argument(*spelt, dest=name, type=kind, default=None)
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> "TrainingReport":
    """Trains with these options.

    Args:
        argv: The arguments; by default those of the process.

    Raises:
        GreenforkError: As :func:`trainer.train_grpo`.
    """
    from trainer.grpo.run import train_grpo

    given = vars(parse_args(argv))
    config = given.pop("config")
    key = os.environ.get("GREENFORK_API_KEY")
    return train_grpo(load_config(config, given | {"reward_api_key": key}))


def run() -> int:
    """The command: trains, and says in one line what is wrong.

    Returns:
        0 done, 1 the run failed, 2 something that was given is unusable.
    """
    try:
        main()
    except GreenforkError as exc:
        sys.stderr.write(f"trainer: {exc.message} [{exc.code}]\n")
        return 2 if isinstance(exc, InputError) else 1
    return 0
