"""Bulk jobs on a real gateway: followed, interrupted, killed, taken over, cancelled."""

import json
import re
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest

from shared.wire.jobs import JobResult, JobView
from tests.integration.conftest import WITHOUT_END, read_rows
from tests.integration.reward_server.gateway_process import GatewayProcess
from tests.integration.reward_server.serving import GREENFORK
from tests.integration.shared_ray import shared_ray

ITEMS = 6_000
BROKEN = 2_100
"""Where a line is no item, in one test."""
DISTINCT = 96
"""Rollouts that a job needs; they come up one after the other, from its first item to its last."""
LINES = {"Content-Type": "application/x-ndjson"}
Url = str


def make_items(dataset: Path) -> list[dict[str, Any]]:
    """Many items of few kinds: decisions, texts, and some that are invalid."""
    rows = read_rows(dataset)
    return [{"id": f"item {i}"} | _item(rows, i) for i in range(ITEMS)]


def _item(rows: list[dict[str, Any]], i: int) -> dict[str, Any]:
    kind = i * DISTINCT // ITEMS
    row = rows[kind % len(rows)]
    where = {"state_id": row["state_id"], "tls_id": row["tls_id"]}
    if i % 7 == 5:
        return where | {"completion": "I cannot say.", "decision_kind": "extend"}
    if i % 7 == 6:
        return where | {"decision": {"kind": "phase", "next_phase": 99, "green_s": 10}}
    extend_s = 3 + kind // len(rows)
    if i % 2:
        text = json.dumps({"extend": "yes", "extend_sec": extend_s})
        return where | {"completion": text, "decision_kind": "extend"}
    return where | {"decision": {"kind": "extend", "extend": True, "extend_s": extend_s}}


def write_items(path: Path, items: list[dict[str, Any]]) -> Path:
    """The items in a file."""
    path.write_text("".join(json.dumps(item) + "\n" for item in items))
    return path


def spec(horizon_s: int) -> dict[str, str]:
    """Query parameters: a horizon that no other test has needs rollouts of its own."""
    return {"spec": json.dumps({"reward": {"name": "queue", "horizon_s": horizon_s}})}


def submit(url: Url, path: Path, horizon_s: int) -> str:
    """The id of a new job."""
    with path.open("rb") as file:
        answer = httpx.post(
            f"{url}/v1/jobs", params=spec(horizon_s), content=file, headers=LINES, timeout=30
        )
    assert answer.status_code == 202, answer.text
    return JobView.model_validate_json(answer.content).id


def job_of(url: Url, job_id: str) -> JobView:
    """The job as it is now."""
    answer = httpx.get(f"{url}/v1/jobs/{job_id}").raise_for_status()
    return JobView.model_validate_json(answer.content)


def reached(url: Url, job_id: str, share: float) -> JobView:
    """The job when so much of it is done."""
    while (job := job_of(url, job_id)).done < share * job.items:
        assert not job.is_finished
        time.sleep(0.02)
    return job


def results_of(url: Url, job_id: str) -> bytes:
    """All results, waited for."""
    with httpx.stream(
        "GET", f"{url}/v1/jobs/{job_id}/results", params={"follow": True}, timeout=60
    ) as answer:
        return answer.read()


def metric(url: Url, name: str) -> float:
    """A number from the metrics page."""
    page = httpx.get(f"{url}/metrics").text.splitlines()
    return next(float(line.split()[-1]) for line in page if line.startswith(f"{name} "))


@pytest.fixture(scope="module")
def dataset(dataset_of: Callable[[str], Path]) -> Path:
    """The crossing."""
    return dataset_of(WITHOUT_END)


@pytest.fixture(scope="module")
def source(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of many items."""
    return write_items(tmp_path_factory.mktemp("jobs") / "in.jsonl", make_items(dataset))


@pytest.fixture(scope="module")
def url(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Url]:
    """A gateway that is not disturbed."""
    gateway = GatewayProcess(dataset, tmp_path_factory.mktemp("undisturbed"), shared_ray())
    gateway.start()
    yield gateway.url
    gateway.stop()


@pytest.fixture(scope="module")
def undisturbed(url: Url, source: Path) -> tuple[list[tuple[float, str, JobView]], bytes]:
    """The events of a job that was left alone, when they came, and its results."""
    job_id = submit(url, source, 30)
    events: list[tuple[float, str, JobView]] = []
    with httpx.stream("GET", f"{url}/v1/jobs/{job_id}/events", timeout=60) as answer:
        kind = ""
        for line in answer.iter_lines():
            name, _, value = line.partition(": ")
            if name == "event":
                kind = value
            elif name == "data":
                events.append((time.monotonic(), kind, JobView.model_validate_json(value)))
    return events, results_of(url, job_id)


def test_events_come_from_the_beginning_to_the_end(
    undisturbed: tuple[list[tuple[float, str, JobView]], bytes], source: Path
) -> None:
    """Progress that only grows, at most two per second, then the end; results match the items."""
    events, results = undisturbed
    assert {kind for _, kind, _ in events[:-1]} == {"progress"}
    assert len(events) > 2
    kind, last = events[-1][1:]
    assert (kind, last.status, last.done) == ("done", "done", ITEMS)
    assert last.counts.rollouts == DISTINCT
    assert all(a.done <= b.done for (_, _, a), (_, _, b) in pairwise(events))
    assert all(later - sooner > 0.4 for (sooner, *_), (later, *_) in pairwise(events))
    assert any(view.eta_s is not None for _, _, view in events)
    found = [JobResult.model_validate_json(line) for line in results.splitlines()]
    assert [result.id for result in found] == [f"item {i}" for i in range(ITEMS)]
    statuses = [result.status for result in found]
    assert statuses == ["invalid" if i % 7 > 4 else "scored" for i in range(ITEMS)]


def test_killed_in_the_middle_it_goes_on_to_the_same_bytes(
    dataset: Path,
    source: Path,
    undisturbed: tuple[list[tuple[float, str, JobView]], bytes],
    tmp_path: Path,
) -> None:
    """And nothing that was recorded is rolled out again."""
    gateway = GatewayProcess(dataset, tmp_path, shared_ray())
    gateway.start()
    before = _recorded(tmp_path)
    try:
        job_id = submit(gateway.url, source, 30)
        seen = reached(gateway.url, job_id, 0.3)
    finally:
        gateway.kill()
    recorded = _recorded(tmp_path)
    assert 0.2 * ITEMS < seen.done < 0.8 * ITEMS
    assert before < recorded < before + DISTINCT
    gateway.start()
    try:
        results = results_of(gateway.url, job_id)
        job = job_of(gateway.url, job_id)
        rollouts = metric(gateway.url, "greenfork_rollouts_total")
    finally:
        gateway.stop()
    assert (job.status, job.done, job.counts.failed) == ("done", ITEMS, 0)
    assert results == undisturbed[1]
    assert _recorded(tmp_path) == before + DISTINCT
    assert recorded + rollouts == before + DISTINCT


def _recorded(data_dir: Path) -> int:
    """Outcomes in the ledger."""
    path = f"file:{data_dir / 'ledger.sqlite'}?mode=ro"
    with closing(sqlite3.connect(path, uri=True)) as ledger:
        (count,) = ledger.execute("SELECT count(*) FROM outcomes").fetchone()
    return int(count)


def test_interrupted_command_takes_up_its_job(url: Url, source: Path, tmp_path: Path) -> None:
    """The job goes on meanwhile; the same command finds it, and leaves nothing.

    It is interrupted once it has results, of which there are many to come. Sooner, it may not have
    been told the job's id; later, on a busy machine, the job may be done.
    """
    broken = tmp_path / "in.jsonl"
    lines = source.read_text().splitlines(keepends=True)
    broken.write_text("".join([*lines[:BROKEN], "nonsense\n", *lines[BROKEN:]]))
    output = tmp_path / "out.jsonl"
    files = ["--input", str(broken), "--output", str(output), "--url", url]
    command = [*GREENFORK, "score", *files, "--reward", "queue", "--horizon", "131", "--json"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as scoring:
        while not any(part.stat().st_size for part in tmp_path.glob(".out.jsonl.*.part")):
            assert scoring.poll() is None
            time.sleep(0.02)
        scoring.send_signal(signal.SIGINT)
        _, said = scoring.communicate(timeout=30)
        assert scoring.returncode != 0
    found = re.search(r"jobs cancel (\w+) ", said)
    assert found is not None, said
    job_id = found[1]
    assert job_id in httpx.get(f"{url}/v1/jobs").text
    assert [path.name for path in tmp_path.iterdir()] == ["in.jsonl"]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 1, ran.stderr
    summary = json.loads(ran.stdout)
    assert (summary["lines"], summary["failed"], summary["rollouts"]) == (ITEMS + 1, 1, DISTINCT)
    assert [failure["line"] for failure in summary["failures"]] == [BROKEN + 1]
    results = [json.loads(line) for line in output.read_text().splitlines()]
    assert [result["id"] for result in results if result["status"] != "failed"] == [
        f"item {i}" for i in range(ITEMS)
    ]
    assert results[BROKEN]["error"]["code"] == "malformed_json"
    assert job_id not in httpx.get(f"{url}/v1/jobs").text


def test_deleting_a_running_job_ends_its_work(url: Url, source: Path) -> None:
    """At once: the workers are free, whoever follows it is let go, and it is not there."""
    job_id = submit(url, source, 32)
    reached(url, job_id, 0.05)
    with httpx.stream(
        "GET", f"{url}/v1/jobs/{job_id}/results", params={"follow": True}, timeout=30
    ) as answer:
        assert httpx.delete(f"{url}/v1/jobs/{job_id}").status_code == 204
        assert 0 < len(answer.read().splitlines()) < ITEMS
    assert httpx.get(f"{url}/v1/jobs/{job_id}").status_code == 404
    end_s = time.monotonic() + 5
    while metric(url, "greenfork_pool_busy") or metric(url, "greenfork_pool_queued"):
        assert time.monotonic() < end_s
        time.sleep(0.05)
