"""Environments for programs whose pins the project's own environment cannot hold.

Each has the packages of a pin file, and nothing that those ask for. Behind them it sees the
project's own, so that torch is not installed twice.
"""

import hashlib
import platform
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

from filelock import FileLock

__all__ = ["CACHE", "python_of"]

CACHE = Path(sys.prefix).resolve() / "clients"
"""Inside the project's own environment: they are good for no other, and go when it goes."""

_DIGITS = 12


def python_of(pins: Path, cache: Path = CACHE) -> Path:
    """The interpreter of an environment, which is made first if its pins are new.

    Processes that ask at the same time wait for each other. An installation that was cut short is
    started anew; environments of earlier pins are removed.

    Args:
        pins: A requirements file with exact versions. Its name is the client's.
        cache: Where the environments are.

    Raises:
        subprocess.CalledProcessError: pip could not install the packages.
    """
    named = pins.read_bytes() + platform.python_version().encode()
    digest = hashlib.sha256(named).hexdigest()[:_DIGITS]
    made = cache / f"{pins.stem}-{digest}"
    cache.mkdir(exist_ok=True)
    with FileLock(cache / f"{pins.stem}.lock"):
        if not made.exists():
            part = cache / f"{pins.stem}.part"
            shutil.rmtree(part, ignore_errors=True)
            _make(part, pins)
            part.rename(made)
            for other in cache.glob(f"{pins.stem}-{'[0-9a-f]' * _DIGITS}"):
                if other != made:
                    shutil.rmtree(other)
    return made / "bin" / "python"


def _make(folder: Path, pins: Path) -> None:
    venv.create(folder, symlinks=True)
    python = folder / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", str(python)]
    what = ["install", "--quiet", "--no-deps", "--no-compile", "--requirement", str(pins)]
    subprocess.run([*pip, *what], check=True)
    behind = str(Path(sysconfig.get_path("purelib")).resolve())
    own = sysconfig.get_path("purelib", "venv", {"base": str(folder)})
    Path(own, "project.pth").write_text(f"import site; site.addsitedir({behind!r})\n")
