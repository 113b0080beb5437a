"""The lock file of the ``gpu`` extra is what the resolver makes of ``pyproject.toml``."""

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LOCK = "requirements-gpu.txt"
NO_NETWORK = ("error sending request", "dns error", "Could not connect", "Network connectivity")
PIP_TO_UV = {
    "PIP_INDEX_URL": "UV_DEFAULT_INDEX",
    "PIP_EXTRA_INDEX_URL": "UV_INDEX",
    "PIP_CERT": "SSL_CERT_FILE",
}
"""Where pip was told to look, in the words of uv."""


def test_lock_resolves_and_is_up_to_date(tmp_path: Path) -> None:
    """The command in its head, run again, changes nothing; pins that still fit are kept."""
    for name in (LOCK, "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path / name)
    head = (tmp_path / LOCK).read_text().splitlines()[1]
    command = shlex.split(head.removeprefix("#"))
    assert command[:4] == ["uv", "pip", "compile", "pyproject.toml"]
    uv = shutil.which("uv", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    assert uv, "uv comes with the extra dev"
    told = {PIP_TO_UV[name]: os.environ[name] for name in PIP_TO_UV if os.environ.get(name)}
    done = subprocess.run(
        [uv, *command[1:]],
        cwd=tmp_path,
        env=told | os.environ,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    if done.returncode and any(sign in done.stderr for sign in NO_NETWORK):
        pytest.skip(f"NOT CHECKED: the package index cannot be reached: {done.stderr[-300:]}")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / LOCK).read_text() == (ROOT / LOCK).read_text()
