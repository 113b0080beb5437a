"""Steps that every kind of training takes before it loads a model."""

import json
import shlex
from pathlib import Path

import structlog

from shared.errors import ConfigError
from trainer.runs.checkpoints import flaw_of, steps_of, whole_checkpoints

log = structlog.get_logger(__name__)

__all__ = ["checkpoint_of", "of_another_run", "steps_before", "warn_of_warmup", "way_on"]


def warn_of_warmup(steps: int, warmup_steps: int) -> None:
    """Warns if a run ends before its learning rate has reached the peak.

    Args:
        steps: Optimizer steps of the run.
        warmup_steps: The setting.
    """
    if steps <= warmup_steps:
        log.warning(
            "the run will learn almost nothing: it ends before the learning rate has risen; reduce "
            "warmup_steps, or train longer",
            max_steps=steps,
            warmup_steps=warmup_steps,
        )


def checkpoint_of(wanted: str | None, output_dir: str) -> Path | None:
    """The checkpoint to resume from.

    Args:
        wanted: The setting ``resume_from_checkpoint``: a folder, or ``latest``, which skips
            incomplete checkpoints with a warning; None starts from scratch.
        output_dir: The folder that ``latest`` searches. A run that starts from scratch must not
            find checkpoints here: if it were killed before its own first one, it would be resumed
            from another run's.

    Raises:
        ConfigError: The checkpoint is missing or incomplete, or the run starts from scratch in a
            folder with checkpoints.
    """
    whole, flawed = whole_checkpoints(Path(output_dir))
    if wanted is None:
        if whole:
            raise of_another_run(output_dir)
        return None
    if wanted != "latest":
        return _named(Path(wanted))
    if not whole:
        torn = "".join(f"; {path.name} is unusable: {flaw}" for path, flaw in flawed)
        raise ConfigError(f"resume_from_checkpoint: no checkpoint in {output_dir}{torn}")
    step, newest = whole[-1]
    for path, flaw in flawed:
        if (steps_of(path) or 0) > step:
            log.warning(
                "skipping an incomplete checkpoint",
                path=str(path),
                reason=flaw,
                instead=str(newest),
            )
    return newest


def of_another_run(output_dir: str) -> ConfigError:
    """The error for starting from scratch in a folder with checkpoints."""
    return ConfigError(
        f"{output_dir} contains the checkpoints of another run: resume from them with "
        "resume_from_checkpoint: latest, choose another output_dir, or delete them"
    )


def _named(checkpoint: Path) -> Path:
    """The checkpoint with a given path.

    Raises:
        ConfigError: It is missing or incomplete; the message names an earlier one, if any.
    """
    if not checkpoint.is_dir():
        raise ConfigError(f"resume_from_checkpoint: {str(checkpoint)!r} is not a checkpoint")
    step = steps_of(checkpoint)
    whole, _ = whole_checkpoints(checkpoint.parent)
    if (flaw := flaw_of(checkpoint)) is None:
        if step is not None and whole and whole[-1][0] > step:
            log.warning(
                "there are later checkpoints than the one to resume from, and latest means the one "
                "with the most steps; delete them, or choose another output_dir",
                latest=str(whole[-1][1]),
            )
        return checkpoint
    before = [path for at, path in whole if step is None or at < step]
    way_out = (
        f"the previous one is complete: set resume_from_checkpoint: {before[-1]}"
        if before
        else "there is no earlier complete one: start from scratch in another output_dir"
    )
    raise ConfigError(
        f"resume_from_checkpoint: cannot resume from {str(checkpoint)!r}: {flaw}; {way_out}"
    )


def way_on(verb: str, checkpoint: Path | None, config: Path) -> str:
    """The command that continues a run that ended early.

    Args:
        verb: The subcommand of ``greenfork train``.
        checkpoint: The last checkpoint; None if none was saved.
        config: The ``config.yaml`` of the run.

    >>> way_on("grpo", Path("a/checkpoint-7"), Path("a/config.yaml"))[-66:]
    '--config a/config.yaml --set resume_from_checkpoint=a/checkpoint-7'
    """
    again = f"greenfork train {verb} --config {shlex.quote(str(config))}"
    if checkpoint is None:
        return f"No checkpoint was saved yet; restart with: {again}"
    resume = shlex.quote(f"resume_from_checkpoint={checkpoint}")
    return f"Resume with: {again} --set {resume}"


def steps_before(checkpoint: Path | None) -> int:
    """The number of steps before a checkpoint; 0 without one.

    Read from its state, because the folder may have been renamed. Call it before the run starts,
    because the run may delete the checkpoint.

    Raises:
        ConfigError: The state does not contain the number.
    """
    if checkpoint is None:
        return 0
    file = checkpoint / "trainer_state.json"
    try:
        return int(json.loads(file.read_bytes())["global_step"])
    except (OSError, ValueError, KeyError, TypeError) as exc:
        raise ConfigError(f"{file} does not contain the number of steps") from exc
