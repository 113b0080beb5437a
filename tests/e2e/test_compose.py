"""The Compose project as its users run it: scored from outside, and with its containers killed.

One project serves all tests of this module. Each test asks for horizons of its own, so that none
finds outcomes of another in the ledger.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from shared.wire.scoring import ScoreItem, ScoreResult
from shared.wire.states import StatePage

pytestmark = pytest.mark.docker

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

    def compose(self, *arguments: str, timeout_s: float = 120) -> str:
        """Runs ``docker compose`` on the project and returns what it prints."""
        variables = {"GREENFORK_PORT": str(self.port), "GREENFORK_DEMO_STATES": str(STATES)}
        return _run(
            ["docker", "compose", "--project-name", PROJECT, "--progress", "plain", *arguments],
            timeout_s,
            os.environ | variables,
        )

    def up(self, *options: str) -> None:
        """Brings everything up and waits until it is healthy."""
        scale = f"sim-worker={WORKERS}"
        self.compose("up", "--detach", "--wait", "--scale", scale, *options, timeout_s=600)

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


@dataclass(frozen=True)
class Scoring:
    """Files of decisions, scored by the command that users have."""

    url: str
    folder: Path

    def start(self, items: Sequence[ScoreItem], horizon_s: int) -> subprocess.Popen[str]:
        """Begins to score, in a process of its own."""
        source = self.folder / "decisions.jsonl"
        lines = [item.model_dump_json(exclude_none=True) for item in items]
        source.write_text("".join(f"{line}\n" for line in lines))
        command = [str(Path(sys.executable).with_name("greenfork")), "score", "--json"]
        command += ["--url", self.url, "--horizon", str(horizon_s)]
        command += ["--input", str(source), "--output", str(self.folder / "rewards.jsonl")]
        return subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    def finish(self, process: subprocess.Popen[str]) -> list[ScoreResult]:
        """Waits for the process and reads what it wrote."""
        said, _ = process.communicate(timeout=180)
        assert process.returncode == 0, said
        lines = (self.folder / "rewards.jsonl").read_bytes().splitlines()
        return [ScoreResult.model_validate_json(line) for line in lines]

    def score(self, items: Sequence[ScoreItem], horizon_s: int) -> list[ScoreResult]:
        """Scores, from beginning to end."""
        with self.start(items, horizon_s) as process:
            return self.finish(process)


@pytest.fixture(scope="module")
def deployment() -> Iterator[Deployment]:
    """The project, up with two workers and taken down with its volumes."""
    _need_engine()
    deployment = Deployment(_free_port())
    deployment.compose("down", "--volumes", "--timeout", "5")
    try:
        deployment.up("--build")
        yield deployment
        print(deployment.compose("logs", "--tail", "100"))  # noqa: T201 - shown when a test fails
    except subprocess.CalledProcessError as exc:
        logs = deployment.compose("logs", "--tail", "100")
        pytest.fail(f"{exc.cmd} failed:\n{exc.output}\n{logs}", pytrace=False)
    finally:
        deployment.compose("down", "--volumes", "--timeout", "5")


@pytest.fixture
def scoring(deployment: Deployment, tmp_path: Path) -> Scoring:
    """The scoring command, pointed at the project."""
    return Scoring(deployment.url, tmp_path)


def test_every_decision_is_scored_from_outside(deployment: Deployment, scoring: Scoring) -> None:
    """The demo dataset is there, and each of its decisions gets a reward, in order."""
    items = deployment.items()

    results = scoring.score(items, horizon_s=30)

    assert len(items) == 2 * STATES
    assert [result.id for result in results] == [item.id for item in items]
    assert _rewards(results) == [result.reward for result in results]
    assert len({result.reward for result in results}) > STATES / 2


_LAST_S = 3000
"""From here on there are not 600 s left before the scenario ends."""


def _time_s(item: ScoreItem) -> float:
    return float(item.state_id.partition("@")[2].rpartition("-")[0])


def test_no_item_is_lost_when_a_worker_is_killed_amid_a_request(
    deployment: Deployment, scoring: Scoring
) -> None:
    """What the killed container was at is done by the other one, within the same request."""
    items = [item for item in deployment.items() if _time_s(item) <= _LAST_S]
    lost = deployment.metric("greenfork_workers_lost_total")

    with scoring.start(items, horizon_s=600) as process:
        _wait_until(lambda: deployment.metric("greenfork_pool_busy") == WORKERS)
        _run(["docker", "kill", deployment.containers("sim-worker")[0]])
        assert process.poll() is None, "the request ended before the worker was killed"
        results = scoring.finish(process)

    assert len(_rewards(results)) == len(items)
    assert deployment.metric("greenfork_workers_lost_total") == lost + 1
    deployment.up()
    _wait_until(lambda: deployment.metric("greenfork_pool_workers") == WORKERS)


def test_outcomes_survive_a_restart_of_the_gateway(
    deployment: Deployment, scoring: Scoring
) -> None:
    """The same file gives the same rewards without a single rollout."""
    items = deployment.items()
    before = scoring.score(items, horizon_s=31)

    deployment.compose("restart", "gateway")
    deployment.up()
    after = scoring.score(items, horizon_s=31)

    assert _rewards(after) == _rewards(before)
    assert all(result.cached for result in after)
    assert deployment.metric("greenfork_pool_workers") <= WORKERS


def test_containers_run_as_an_ordinary_user(deployment: Deployment) -> None:
    """No process of the project is root inside its container."""
    users = {
        _run(["docker", "exec", container, "id", "--user"]).strip()
        for container in deployment.containers()
    }

    assert users == {"10001"}


def test_only_the_gateway_is_published_and_only_on_loopback(deployment: Deployment) -> None:
    """Neither Ray's ports nor anything else can be reached from another machine."""
    published = {
        binding["HostIp"] + ":" + binding["HostPort"]
        for container in deployment.containers()
        for ports in [json.loads(_run(["docker", "inspect", container]))[0]["NetworkSettings"]]
        for bindings in ports["Ports"].values()
        for binding in bindings or []
    }

    assert published == {f"127.0.0.1:{deployment.port}"}


def _rewards(results: Sequence[ScoreResult]) -> list[float]:
    """The rewards of the items that were scored."""
    return [r.reward for r in results if r.status == "scored" and r.reward is not None]


def _need_engine() -> None:
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


def _run(
    command: Sequence[str], timeout_s: float = 60, variables: Mapping[str, str] | None = None
) -> str:
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


def _wait_until(is_so: Callable[[], bool], limit_s: float = 60) -> None:
    """Asks again and again; these are processes of others, and have no event to wait for."""
    deadline = time.monotonic() + limit_s
    while not is_so():
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(0.1)


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
