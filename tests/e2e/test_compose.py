"""The Compose project as its users run it: scored from outside, and with its containers killed.

One project serves all tests of this folder. Each test asks for horizons of its own, so that none
finds outcomes of another in the ledger.
"""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from shared.decisions import Extend
from shared.wire.scoring import ScoreItem, ScoreResult
from tests.e2e.deployment import STATES, WORKERS, Deployment, run
from tests.kernel import CAN_RESTORE

pytestmark = pytest.mark.docker


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
        run(["docker", "kill", deployment.containers("sim-worker")[0]])
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


@pytest.mark.skipif(not CAN_RESTORE, reason="the kernel refuses userfaultfd")
def test_rollouts_of_a_state_are_restored(deployment: Deployment, scoring: Scoring) -> None:
    """The containers are allowed what it takes, as an ordinary user without capabilities."""
    item = deployment.items()[0]
    decisions = [Extend(extend=True, extend_s=seconds) for seconds in range(1, 11)]
    scored = scoring.score([item.model_copy(update={"decision": d}) for d in decisions], 33)

    assert {result.status for result in scored} == {"scored"}
    assert deployment.metric('greenfork_rollouts_made_total{made_by="restore"}') > 0
    assert deployment.metric('greenfork_restore_checks_total{result="equal"}') > 0


def test_containers_run_as_an_ordinary_user(deployment: Deployment) -> None:
    """No process of the project is root inside its container."""
    users = {
        run(["docker", "exec", container, "id", "--user"]).strip()
        for container in deployment.containers()
    }

    assert users == {"10001"}


def test_only_the_gateway_is_published_and_only_on_loopback(deployment: Deployment) -> None:
    """Neither Ray's ports nor anything else can be reached from another machine."""
    published = {
        binding["HostIp"] + ":" + binding["HostPort"]
        for container in deployment.containers()
        for ports in [json.loads(run(["docker", "inspect", container]))[0]["NetworkSettings"]]
        for bindings in ports["Ports"].values()
        for binding in bindings or []
    }

    assert published == {f"127.0.0.1:{deployment.port}"}


def _rewards(results: Sequence[ScoreResult]) -> list[float]:
    """The rewards of the items that were scored."""
    return [r.reward for r in results if r.status == "scored" and r.reward is not None]


def _wait_until(is_so: Callable[[], bool], limit_s: float = 60) -> None:
    """Asks again and again; these are processes of others, and have no event to wait for."""
    deadline = time.monotonic() + limit_s
    while not is_so():
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(0.1)
