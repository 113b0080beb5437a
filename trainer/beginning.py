"""What every kind of training settles before it loads a model."""

import importlib.util
import json
import os
from pathlib import Path

from shared.errors import ConfigError

_HERE = ("localhost", "127.0.0.1", "::1")

__all__ = ["check_report_to", "checkpoint_of", "stay_offline", "steps_before"]


def stay_offline() -> None:
    """No downloads and no telemetry, whatever the libraries' defaults; call before their import."""
    for name in ("HF_HUB_OFFLINE", "HF_HUB_DISABLE_TELEMETRY", "HF_DATASETS_OFFLINE"):
        os.environ.setdefault(name, "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    for name in ("NO_PROXY", "no_proxy"):  # this machine is never asked for through a proxy
        given = os.environ.get(name) or os.environ.get(name.swapcase()) or ""
        os.environ[name] = ",".join(dict.fromkeys([*filter(None, given.split(",")), *_HERE]))


def check_report_to(name: str) -> None:
    """Checks that what metrics are to be sent to is installed.

    Args:
        name: The setting ``report_to``; ``none`` needs nothing.

    Raises:
        ConfigError: It is not.
    """
    if name != "none" and importlib.util.find_spec(name) is None:
        raise ConfigError(f"report_to: {name} needs a package; run: pip install {name}")


def checkpoint_of(wanted: str | None, output_dir: str) -> Path | None:
    """The checkpoint that a run goes on from.

    Args:
        wanted: The setting ``resume_from_checkpoint``: a folder, or ``latest``; None starts anew.
        output_dir: Where ``latest`` looks, and where a run that starts anew must find none: killed
            before its first checkpoint, it would be gone on with from another run's.

    Raises:
        ConfigError: It does not exist; or the run starts anew where another one's lie.
    """
    found = _checkpoints(Path(output_dir))
    if wanted is None:
        if found:
            raise ConfigError(
                f"{output_dir} holds the checkpoints of another run: go on from them with "
                "resume_from_checkpoint: latest, choose another output_dir, or delete them"
            )
        return None
    if wanted != "latest":
        if not (Path(wanted) / "trainer_state.json").is_file():
            raise ConfigError(f"resume_from_checkpoint: {wanted!r} is not a checkpoint")
        return Path(wanted)
    if not found:
        raise ConfigError(f"resume_from_checkpoint: no checkpoint in {output_dir}")
    return max(found)[1]


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


def _checkpoints(folder: Path) -> list[tuple[int, Path]]:
    """The whole checkpoints in a run's folder, with their steps."""
    return [
        (step, path)
        for path in folder.glob("checkpoint-*")
        if (step := _step_of(path)) is not None and (path / "trainer_state.json").is_file()
    ]


def _step_of(checkpoint: Path) -> int | None:
    number = checkpoint.name.rpartition("-")[2]
    return int(number) if number.isdecimal() else None
