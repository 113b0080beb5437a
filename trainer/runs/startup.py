"""What every kind of training settles before it loads a model."""

import json
import shlex
from pathlib import Path

import structlog

from shared.errors import ConfigError
from trainer.runs.checkpoints import flaw_of, steps_of, whole_checkpoints

log = structlog.get_logger(__name__)

__all__ = ["checkpoint_of", "of_another_run", "steps_before", "warn_of_warmup", "way_on"]


def warn_of_warmup(steps: int, warmup_steps: int) -> None:
    """Says where a run is over before its learning rate has risen.

    Args:
        steps: Optimizer steps that the run will have.
        warmup_steps: The setting.
    """
    if steps <= warmup_steps:
        log.warning(
            "the run will learn next to nothing: the learning rate rises over warmup_steps, and "
            "the run ends before it has; set fewer warmup_steps, or train longer",
            max_steps=steps,
            warmup_steps=warmup_steps,
        )


def checkpoint_of(wanted: str | None, output_dir: str) -> Path | None:
    """The checkpoint that a run goes on from.

    Args:
        wanted: The setting ``resume_from_checkpoint``: a folder, or ``latest``, which passes over
            torn ones and says so; None starts anew.
        output_dir: Where ``latest`` looks, and where a run that starts anew must find none: killed
            before its first checkpoint, it would be gone on with from another run's.

    Raises:
        ConfigError: It does not exist or is torn; or the run starts anew where another one's lie.
    """
    whole, flawed = whole_checkpoints(Path(output_dir))
    if wanted is None:
        if whole:
            raise of_another_run(output_dir)
        return None
    if wanted != "latest":
        return _named(Path(wanted))
    if not whole:
        torn = "".join(f"; {path.name} is none: {flaw}" for path, flaw in flawed)
        raise ConfigError(f"resume_from_checkpoint: no checkpoint in {output_dir}{torn}")
    step, newest = whole[-1]
    for path, flaw in flawed:
        if (steps_of(path) or 0) > step:
            log.warning(
                "a checkpoint is passed over", path=str(path), reason=flaw, instead=str(newest)
            )
    return newest


def of_another_run(output_dir: str) -> ConfigError:
    """The error of a run that starts anew in a folder with checkpoints."""
    return ConfigError(
        f"{output_dir} holds the checkpoints of another run: resume from them with "
        "resume_from_checkpoint: latest, choose another output_dir, or delete them"
    )


def _named(checkpoint: Path) -> Path:
    """A checkpoint that was asked for by its name.

    Raises:
        ConfigError: It is none, or torn; a whole one from before it is named, if there is any.
    """
    if not checkpoint.is_dir():
        raise ConfigError(f"resume_from_checkpoint: {str(checkpoint)!r} is not a checkpoint")
    step = steps_of(checkpoint)
    whole, _ = whole_checkpoints(checkpoint.parent)
    if (flaw := flaw_of(checkpoint)) is None:
        if step is not None and whole and whole[-1][0] > step:
            log.warning(
                "later checkpoints lie beside the one that is gone on from, and latest means the "
                "one of most steps; delete them, or choose another output_dir",
                latest=str(whole[-1][1]),
            )
        return checkpoint
    before = [path for at, path in whole if step is None or at < step]
    way_out = (
        f"the one before it is whole: set resume_from_checkpoint: {before[-1]}"
        if before
        else "there is no whole one before it: start anew in another output_dir"
    )
    raise ConfigError(
        f"resume_from_checkpoint: {str(checkpoint)!r} is not a checkpoint to go on from, {flaw}; "
        f"{way_out}"
    )


def way_on(verb: str, checkpoint: Path | None, config: Path) -> str:
    """How to go on after a run has ended before its time.

    Args:
        verb: Of ``greenfork train``.
        checkpoint: What was saved last; None where nothing was.
        config: The run's own ``config.yaml``.

    >>> way_on("grpo", Path("a/checkpoint-7"), Path("a/config.yaml"))[-66:]
    '--config a/config.yaml --set resume_from_checkpoint=a/checkpoint-7'
    """
    again = f"greenfork train {verb} --config {shlex.quote(str(config))}"
    if checkpoint is None:
        return f"No checkpoint was saved yet; start again with: {again}"
    resume = shlex.quote(f"resume_from_checkpoint={checkpoint}")
    return f"Go on with: {again} --set {resume}"


def steps_before(checkpoint: Path | None) -> int:
    """The steps that were made before a checkpoint; 0 without one.

    It says so itself: its folder may have another name by now. A run that goes on from it may
    delete it, so it is to be asked before.

    Raises:
        ConfigError: It does not say so.
    """
    if checkpoint is None:
        return 0
    file = checkpoint / "trainer_state.json"
    try:
        return int(json.loads(file.read_bytes())["global_step"])
    except (OSError, ValueError, KeyError, TypeError) as exc:
        raise ConfigError(f"{file} does not say how many steps were made") from exc
