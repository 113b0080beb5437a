"""Environment variables: ranks, folders, proxies, logins. Only this module of the trainer reads
them.

The settings of a run do not come from the environment, but from a file and the command line.
"""

import importlib.util
import netrc
import os
from pathlib import Path
from urllib.parse import urlsplit

from shared.errors import ConfigError

__all__ = [
    "PROJECT",
    "cache_dir",
    "check_report_to",
    "is_first_rank",
    "local_rank",
    "name_project",
    "stay_offline",
    "world_size",
]

PROJECT = "greenfork"
"""Of runs whose settings and environment name none."""

_HERE = ("localhost", "127.0.0.1", "::1")


def is_first_rank() -> bool:
    """Whether this process writes files: the only one, or the first that a launcher started."""
    return os.environ.get("RANK", "0") == "0"


def local_rank() -> str:
    """The index of this process's GPU on this machine."""
    return os.environ.get("LOCAL_RANK", "0")


def world_size() -> int:
    """Number of processes that a launcher (``accelerate launch``) started; 1 without a launcher."""
    ranks = os.environ.get("WORLD_SIZE", "")
    return int(ranks) if ranks.isdecimal() else 1


def cache_dir() -> Path:
    """Cache for prepared models: ``GREENFORK_CACHE_DIR``, or the XDG cache directory."""
    if own := os.environ.get("GREENFORK_CACHE_DIR"):
        return Path(own)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "greenfork"


def stay_offline() -> None:
    """Disables downloads and telemetry of the libraries; call it before importing them."""
    for name in ("HF_HUB_OFFLINE", "HF_HUB_DISABLE_TELEMETRY", "HF_DATASETS_OFFLINE"):
        os.environ.setdefault(name, "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    for name in ("NO_PROXY", "no_proxy"):  # this machine is never reached through a proxy
        given = os.environ.get(name) or os.environ.get(name.swapcase()) or ""
        os.environ[name] = ",".join(dict.fromkeys([*filter(None, given.split(",")), *_HERE]))


def check_report_to(name: str) -> None:
    """Checks that the metrics tracker is installed and logged in.

    Args:
        name: The setting ``report_to``; ``none`` needs nothing.

    Raises:
        ConfigError: It is not.
    """
    if name != "none" and importlib.util.find_spec(name) is None:
        raise ConfigError(f"report_to: {name} needs a package; run: pip install {name}")
    if name == "wandb" and not _is_in_wandb():
        raise ConfigError(
            "report_to: wandb is not logged in: run wandb login, set WANDB_API_KEY, or set "
            "WANDB_MODE=offline to write to this machine only"
        )


def name_project(project: str | None, entity: str | None) -> None:
    """Tells the tracker wandb where a run belongs; Transformers reads it from here.

    Args:
        project: The setting ``wandb_project``; None leaves what the environment says, if anything.
        entity: The setting ``wandb_entity``; None leaves what the environment says.
    """
    if project is not None:
        os.environ["WANDB_PROJECT"] = project
    os.environ.setdefault("WANDB_PROJECT", PROJECT)
    if entity is not None:
        os.environ["WANDB_ENTITY"] = entity


def _is_in_wandb() -> bool:
    """Whether wandb can send without prompting: a prompt at the start of a run would wait for ever.

    Follows its own rules: https://docs.wandb.ai/guides/track/environment-variables.
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
