"""What sumo-rl needs beside our environment, in a folder of its own.

Our environment has sumo-rl for its networks alone, without what it depends on.
"""

import subprocess
import sys
from pathlib import Path

from rich.console import Console

__all__ = ["sumo_rl_packages"]

_FOLDER = Path(__file__).parents[2] / "build" / "sumo-rl"
_PACKAGES = ("gymnasium==0.29.1", "farama-notifications==0.0.4", "pettingzoo==1.24.3")


def sumo_rl_packages() -> Path | None:
    """The folder, filled by pip the first time; None, with a line, where pip cannot."""
    done = _FOLDER / "complete"
    if done.exists():
        return _FOLDER
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    try:
        subprocess.run([*pip, "--no-deps", "--target", str(_FOLDER), *_PACKAGES], check=True)
    except (OSError, subprocess.SubprocessError) as exc:
        Console(stderr=True).print(f"without sumo-rl: {exc}")
        return None
    done.touch()
    return _FOLDER
