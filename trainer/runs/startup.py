"""What every kind of training settles before it loads a model."""

import importlib.util
import json
import netrc
import os
import shlex
from pathlib import Path
from urllib.parse import urlsplit

import structlog

from shared.errors import ConfigError
from trainer.runs.checkpoints import flaw_of, steps_of, whole_checkpoints

log = structlog.get_logger(__name__)

_HERE = ("localhost", "127.0.0.1", "::1")

__all__ = [
    "check_report_to",
    "checkpoint_of",
    "stay_offline",
    "steps_before",
    "warn_of_warmup",
    "way_on",
    "way_on_after",
]


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


def stay_offline() -> None:
    """No downloads and no telemetry, whatever the libraries' defaults; call before their import."""
    for name in ("HF_HUB_OFFLINE", "HF_HUB_DISABLE_TELEMETRY", "HF_DATASETS_OFFLINE"):
        os.environ.setdefault(name, "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    for name in ("NO_PROXY", "no_proxy"):  # this machine is never asked for through a proxy
        given = os.environ.get(name) or os.environ.get(name.swapcase()) or ""
        os.environ[name] = ",".join(dict.fromkeys([*filter(None, given.split(",")), *_HERE]))


def check_report_to(name: str) -> None:
    """Checks that what metrics are to be sent to is installed, and lets us in.

    Args:
        name: The setting ``report_to``; ``none`` needs nothing.

    Raises:
        ConfigError: It is not, or does not.
    """
    if name != "none" and importlib.util.find_spec(name) is None:
        raise ConfigError(f"report_to: {name} needs a package; run: pip install {name}")
    if name == "wandb" and not _is_in_wandb():
        raise ConfigError(
            "report_to: wandb is not logged in: run wandb login, set WANDB_API_KEY, or write to "
            "this machine only with WANDB_MODE=offline"
        )


def _is_in_wandb() -> bool:
    """Whether wandb would send without asking: a question at a run's start waits for ever.

    Its own rules: https://docs.wandb.ai/guides/track/environment-variables.
    """
    if os.environ.get("WANDB_MODE", "online") not in ("online", "run", "shared"):
        return True
    if any(os.environ.get(name) for name in ("WANDB_API_KEY", "WANDB_IDENTITY_TOKEN_FILE")):
        return True
    host = urlsplit(os.environ.get("WANDB_BASE_URL") or "https://api.wandb.ai").hostname or ""
    given = os.environ.get("NETRC")
    places = [Path(given)] if given else [Path.home() / name for name in (".netrc", "_netrc")]
    return any(_has_login(place, host) for place in places)


def _has_login(file: Path, host: str) -> bool:
    try:
        return netrc.netrc(file).authenticators(host) is not None
    except (OSError, netrc.NetrcParseError):
        return False


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
            raise ConfigError(
                f"{output_dir} holds the checkpoints of another run: go on from them with "
                "resume_from_checkpoint: latest, choose another output_dir, or delete them"
            )
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


def way_on_after(error: Exception, verb: str, config: Path, start: Path | None) -> None:
    """Adds to an error how to go on: from the last whole checkpoint, for it may have torn one.

    Args:
        error: What ended the run.
        verb: Of ``greenfork train``.
        config: The run's own ``config.yaml``, beside which its checkpoints are.
        start: What the run went on from.
    """
    whole, _ = whole_checkpoints(config.parent)
    error.add_note(way_on(verb, whole[-1][1] if whole else start, config))


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
