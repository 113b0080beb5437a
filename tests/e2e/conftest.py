"""The Compose project, brought up once for all tests of this folder."""

import subprocess
from collections.abc import Iterator

import pytest

from tests.e2e.deployment import Deployment, free_port, need_engine


@pytest.fixture(scope="session")
def deployment() -> Iterator[Deployment]:
    """The project, up with two workers and taken down with its volumes."""
    need_engine()
    deployment = Deployment(free_port())
    deployment.down()
    try:
        deployment.up("--build")
        yield deployment
        print(deployment.compose("logs", "--tail", "100"))  # noqa: T201 - shown when a test fails
    except subprocess.CalledProcessError as exc:
        logs = deployment.compose("logs", "--tail", "100")
        pytest.fail(f"{exc.cmd} failed:\n{exc.output}\n{logs}", pytrace=False)
    finally:
        deployment.down()
