"""The data directory of a gateway of version 0.1, served by this one.

What is in it, and how it was made: tests/data/of_ee4e92a/README.md.
"""

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.integration.reward_server.serving import served

_TESTS = Path(__file__).parents[2]
_DATASET = _TESTS / "integration" / "sim_workers" / "data" / "crossing-of-0.1"


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what was kept."""
    folder = tmp_path_factory.mktemp("kept")
    with zipfile.ZipFile(_TESTS / "data" / "of_ee4e92a" / "gateway.zip") as packed:
        packed.extractall(folder)
    return folder


@pytest.fixture(scope="module")
def client(kept: Path) -> Iterator[httpx.Client]:
    """The caller whose key, jobs and uploads are in it, at a gateway of today."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("GREENFORK_SERVER_JOB_RETENTION_DAYS", "36500")
        headers = {"Authorization": f"Bearer {(kept / 'key').read_text().strip()}"}
        with (
            served(_DATASET, data_dir=kept / "data") as url,
            httpx.Client(base_url=url, headers=headers, timeout=30) as http,
        ):
            yield http


def lines_of(file: Path) -> list[dict[str, Any]]:
    """The JSON values of a file's lines."""
    return [json.loads(line) for line in file.read_text().splitlines()]


def test_outcomes_are_found_under_their_keys(client: httpx.Client, kept: Path) -> None:
    """Of every kind of decision, several seeds and an upload: the same answers, none rolled out.

    But for a reward of what was not measured then.
    """
    bodies, answers = lines_of(kept / "score.jsonl"), lines_of(kept / "answers.jsonl")
    for body, before in zip(bodies, answers, strict=True):
        answer = client.post("/v1/score", json=body).raise_for_status().json()
        assert answer["counts"]["rollouts"] == 0
        assert answer["results"] == [_as_of_today(result) for result in before["results"]]
    _check_delay(client, bodies[0], answers[0])


def _as_of_today(result: dict[str, Any]) -> dict[str, Any]:
    """A result of version 0.1 as it is told from the ledger now."""
    is_unchecked = result["seeds"] is not None or result["restore"] == "unverified"
    told = {"cached": True, "fidelity": "unchecked" if is_unchecked else "bundle"}
    return result | told | {"metrics": result["metrics"] | {"delay_veh": None}}


def _check_delay(client: httpx.Client, body: dict[str, Any], before: dict[str, Any]) -> None:
    """What version 0.1 did not measure is rolled out again, once, under a reward that needs it."""
    asked = body | {"reward": body["reward"] | {"name": "delay"}}
    answer = client.post("/v1/score", json=asked).raise_for_status().json()
    assert answer["counts"]["rollouts"] > 0
    for result, old in zip(answer["results"], before["results"], strict=True):
        delay_veh = result["metrics"].pop("delay_veh")
        assert result["reward"] == -delay_veh < 0
        assert result["metrics"] == old["metrics"]
    again = client.post("/v1/score", json=asked).raise_for_status().json()
    assert again["counts"]["rollouts"] == 0


def test_finished_job_is_listed_and_read(client: httpx.Client, kept: Path) -> None:
    """Its results are the bytes that they were."""
    jobs = client.get("/v1/jobs").raise_for_status().json()["jobs"]
    (job,) = (job for job in jobs if job["items"] == 300)
    assert (job["status"], job["counts"]["scored"], job["counts"]["invalid"]) == ("done", 240, 60)
    results = client.get(f"/v1/jobs/{job['id']}/results").raise_for_status()
    assert results.content == (kept / "finished-results.jsonl").read_bytes()


def test_interrupted_job_is_finished(client: httpx.Client, kept: Path) -> None:
    """Half of it was done when the gateway was killed; the rest is what it would have been."""
    jobs = client.get("/v1/jobs").raise_for_status().json()["jobs"]
    (job_id,) = (job["id"] for job in jobs if job["items"] == 512)
    followed = client.get(f"/v1/jobs/{job_id}/results", params={"follow": True})
    results = [json.loads(line) for line in followed.raise_for_status().text.splitlines()]
    before = lines_of(kept / "interrupted-results.jsonl")
    assert results[:256] == before[:256]
    for result, old in zip(results[256:], before[256:], strict=True):
        if old["metrics"] is not None:  # measured since, or on record without
            assert (result["metrics"].pop("delay_veh") or 1.0) > 0
        assert result == old | {"fidelity": "bundle"}
    job = client.get(f"/v1/jobs/{job_id}").raise_for_status().json()
    assert (job["status"], job["done"], job["counts"]["failed"]) == ("done", 512, 0)
