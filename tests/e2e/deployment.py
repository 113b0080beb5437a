"""The Compose project while it is up under a name of its own, and the commands that run it."""

import os
import shutil
import socket
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from shared.wire.scoring import ScoreItem
from shared.wire.states import StatePage

__all__ = ["PROJECT", "ROOT", "STATES", "WORKERS", "Deployment", "free_port", "need_engine", "run"]

ROOT = Path(__file__).parents[2]
PROJECT = "greenfork-e2e"
WORKERS = 2
STATES = 24
IS_REQUIRED = os.environ.get("GREENFORK_E2E") == "required"
"""Set by `make e2e`: there, an engine that is missing is an error."""


@dataclass(frozen=True)
class Deployment:
    """The project while it is up."""

    port: int

    @property
    def url(self) -> str:
        """Where the gateway answers on this machine."""
        return f"http://127.0.0.1:{self.port}"

    def compose(
        self, *arguments: str, timeout_s: float = 120, variables: Mapping[str, str] | None = None
    ) -> str:
        """Runs ``docker compose`` on the project and returns what it prints."""
        own = {"GREENFORK_PORT": str(self.port), "GREENFORK_DEMO_STATES": str(STATES)}
        return run(
            ["docker", "compose", "--project-name", PROJECT, "--progress", "plain", *arguments],
            timeout_s,
            os.environ | own | dict(variables or {}),
        )

    def up(self, *options: str) -> None:
        """Brings everything up and waits until it is healthy."""
        scale = f"sim-worker={WORKERS}"
        self.compose("up", "--detach", "--wait", "--scale", scale, *options, timeout_s=600)

    def down(self) -> None:
        """Takes everything down, the trainer and the volumes too."""
        self.compose("--profile", "*", "down", "--volumes", "--timeout", "5")

    def containers(self, *services: str) -> list[str]:
        """Ids of the running containers of the given services, or of all."""
        return self.compose("ps", "--quiet", *services).split()

    def metric(self, name: str) -> float:
        """The value of an unlabelled metric of the gateway."""
        lines = httpx.get(f"{self.url}/metrics", timeout=10).raise_for_status().text.splitlines()
        return next(float(line.split()[1]) for line in lines if line.split()[0] == name)

    def items(self) -> list[ScoreItem]:
        """Both answers to "extend?" at every signal in every state that is served."""
        answer = httpx.get(f"{self.url}/v1/states", params={"limit": 1000}, timeout=10)
        page = StatePage.model_validate_json(answer.raise_for_status().content)
        return [
            ScoreItem.model_validate(
                {
                    "id": f"{state.state_id} {tls_id} {extend}",
                    "state_id": state.state_id,
                    "tls_id": tls_id,
                    "decision": {"kind": "extend", "extend": extend},
                }
            )
            for state in page.states
            for tls_id in state.signals
            for extend in (True, False)
        ]


def need_engine() -> None:
    """Skips, or fails where it must be there, without an engine and Compose."""
    problem = None
    if shutil.which("docker") is None:
        problem = "there is no `docker` command"
    else:
        for command in (["docker", "info"], ["docker", "compose", "version"]):
            if subprocess.run(command, capture_output=True, check=False).returncode != 0:
                problem = f"`{' '.join(command)}` fails"
                break
    if problem and IS_REQUIRED:
        pytest.fail(f"needs a Docker engine with Compose: {problem}", pytrace=False)
    if problem:
        pytest.skip(f"needs a Docker engine with Compose: {problem}")


def run(
    command: Sequence[str], timeout_s: float = 60, variables: Mapping[str, str] | None = None
) -> str:
    """Runs a command at the project's root and returns what it prints; raises where it fails."""
    done = subprocess.run(
        command,
        cwd=ROOT,
        env=variables,
        check=True,
        timeout=timeout_s,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    return done.stdout


def free_port() -> int:
    """A TCP port of this machine that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
