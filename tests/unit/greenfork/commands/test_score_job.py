"""``greenfork score`` of large files, with a service of jobs that is a function."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from greenfork.main import app
from reward_client import RetryPolicy, RewardClient
from reward_client.jobs import JobClient
from tests.unit.reward_client.fake_service import problem, scored
from tests.unit.reward_client.test_jobs import JOB_ID, view

LINE = '{"id": 1, "state_id": "s", "tls_id": "C", "decision": {"extend": true}}\n'
Run = Callable[..., int]


class JobService:
    """Takes jobs, and scores every item of them with 1."""

    def __init__(self, refusal: httpx.Response | None = None, status: str = "running") -> None:
        self.jobs: dict[str, int] = {}
        """Items, by key."""
        self.deleted = 0
        self._refusal = refusal
        self._status = status

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        """Answers."""
        body = await request.aread()
        if request.url.path == "/v1/score":
            return scored(request)
        if request.method == "POST":
            if self._refusal is not None:
                return self._refusal
            self._items = len(body.splitlines())
            self.jobs[request.headers["Idempotency-Key"]] = self._items
            status, self._status = self._status, "running"
            return self._view(status)
        if request.method == "DELETE":
            self.deleted += 1
            return httpx.Response(204)
        if request.url.path.endswith("/results"):
            one = {"id": 1, "status": "scored", "reward": 1.0}
            return httpx.Response(200, content=(json.dumps(one) + "\n") * self._items)
        return self._view("done")

    def _view(self, status: str) -> httpx.Response:
        counts = {"scored": self._items, "invalid": 0, "failed": 0, "cached": 3, "rollouts": 7}
        return view(status, self._items, items=self._items, counts=counts)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs the verb in a folder with a file of decisions, and gives its exit status."""
    monkeypatch.chdir(tmp_path)

    def run_score(text: str, service: JobService, *options: str, name: str = "in.jsonl") -> int:
        transport = httpx.MockTransport(service)
        retry = RetryPolicy(retries=0)
        whole = partial(RewardClient, retry=retry, transport=transport)
        jobs = partial(JobClient, retry=retry, patience=retry, transport=transport)
        monkeypatch.setattr("reward_client.RewardClient", whole)
        monkeypatch.setattr("reward_client.jobs.JobClient", jobs)
        Path(name).write_text(text)
        args = ["--url", "http://s", "--input", name, "--output", "out.jsonl", "--json"]
        with pytest.raises(SystemExit) as ended:
            app(["score", *args, *options])
        assert isinstance(ended.value.code, int)
        return ended.value.code

    return run_score


def results() -> list[dict[str, Any]]:
    """What was written."""
    return [json.loads(line) for line in Path("out.jsonl").read_text().splitlines()]


def test_large_file_is_a_job_and_looks_like_a_small_one(
    run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    """Lines of the same keys in the same order; the job is deleted when they are safe."""
    service = JobService()
    assert run(LINE * 2001, service) == 0
    assert list(service.jobs.values()) == [2001]
    assert service.deleted == 1
    by_job = results()
    summary = json.loads(capsys.readouterr().out)
    assert (summary["lines"], summary["scored"], summary["mean_reward"]) == (2001, 2001, 1.0)
    assert (summary["cached"], summary["rollouts"]) == (3, 7)
    assert run(LINE * 2000, service) == 0
    assert list(service.jobs.values()) == [2001]
    assert list(results()[0]) == list(by_job[0])


def test_either_can_be_asked_for(run: Run) -> None:
    """Whatever the size."""
    service = JobService()
    assert run(LINE, service, "--job") == 0
    assert len(service.jobs) == 1
    assert run(LINE * 2001, service, "--no-job") == 0
    assert len(service.jobs) == 1
    assert len(results()) == 2001


def test_bad_lines_fail_alone(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    """At the beginning, in the middle, at the end: they are not sent, and have their places."""
    service = JobService()
    assert run("?\n" + LINE * 1200 + "\n{}\n" + LINE * 1000 + "?", service) == 1
    assert list(service.jobs.values()) == [2200]
    failed = [i for i, result in enumerate(results()) if result["reward"] is None]
    assert failed == [0, 1201, 1202, 2203]
    summary = json.loads(capsys.readouterr().out)
    assert [failure["line"] for failure in summary["failures"]] == [1, 1202, 1203, 2204]
    assert summary["failed"] == 4


def test_same_command_is_the_same_job(run: Run) -> None:
    """Another reward, other content or another output is another one."""
    service = JobService()
    for options in ([], [], ["--horizon", "30"], ["--output", "other.jsonl"], ["--series"]):
        assert run(LINE * 2001, service, *options) == 0
    assert run(LINE * 2002, service) == 0
    assert len(service.jobs) == 5


@pytest.mark.parametrize(
    "refusal",
    [
        problem(404, "unknown_state"),
        problem(422, "too_many_items"),
        problem(404, "not_found"),
        problem(405, "method_not_allowed"),
    ],
)
def test_what_is_no_job_is_scored_without_one(run: Run, refusal: httpx.Response) -> None:
    """Where some of it is unknown, or the service knows no jobs; not where one was asked for."""
    assert run(LINE * 2001, JobService(refusal)) == 0
    assert len(results()) == 2001
    Path("out.jsonl").unlink()
    assert run(LINE * 2001, JobService(refusal), "--job") == 2
    assert not Path("out.jsonl").exists()


def test_job_that_failed_is_sent_anew(run: Run) -> None:
    """What it has done is in the ledger."""
    service = JobService(status="failed")
    assert run(LINE * 2001, service) == 0
    assert service.deleted == 2


def test_tables_are_jobs_only(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    """Of any size, and sent as they are."""
    service = JobService()
    assert run("PAR1\n", service, name="in.parquet") == 0
    assert len(service.jobs) == 1
    capsys.readouterr()
    assert run("PAR1\n", service, "--no-job", name="in.parquet") == 2
    assert json.loads(capsys.readouterr().out)["error"]["code"] == "job_needed"
    assert run("PAR1\n", JobService(problem(422, "invalid_request")), name="in.parquet") == 2


def test_jobs_are_listed_shown_and_cancelled(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """For people and for machines."""
    answers = {
        "/v1/jobs": httpx.Response(
            200, json={"jobs": [view("done", 10).json()], "total": 1, "limit": 20, "offset": 0}
        ),
        f"/v1/jobs/{JOB_ID}": view("running", 4, items_per_s=2.0, eta_s=3.0),
    }

    def answer(request: httpx.Request) -> httpx.Response:
        is_deleting = request.method == "DELETE"
        return httpx.Response(204) if is_deleting else answers[request.url.path]

    client = partial(JobClient, transport=httpx.MockTransport(answer))
    monkeypatch.setattr("reward_client.jobs.JobClient", client)

    def said(*args: str) -> str:
        with pytest.raises(SystemExit) as ended:
            app(["jobs", *args, "--url", "http://s"])
        assert not ended.value.code
        return capsys.readouterr().out

    assert JOB_ID in said("list")
    assert "4/10" in said("show", JOB_ID)
    assert json.loads(said("list", "--json"))[0]["done"] == 10
    assert json.loads(said("show", JOB_ID, "--json"))["eta_s"] == 3.0
    assert json.loads(said("cancel", JOB_ID, "--json")) == {"id": JOB_ID, "cancelled": True}
    assert "cancelled" in said("cancel", JOB_ID)


@pytest.mark.parametrize(
    ("path", "said"), [("/jobs", "may have the job"), ("/results", f"jobs cancel {JOB_ID}")]
)
def test_interrupted_command_says_what_became_of_its_job(
    run: Run, capsys: pytest.CaptureFixture[str], path: str, said: str
) -> None:
    """Also where the service has it, and the answer with its id had not come yet."""

    class Interrupted(JobService):
        async def __call__(self, request: httpx.Request) -> httpx.Response:
            answer = await super().__call__(request)
            if request.url.path.endswith(path):
                raise KeyboardInterrupt
            return answer

    service = Interrupted()
    assert run(LINE * 2001, service) == 130
    told = capsys.readouterr().err
    assert said in told
    assert "run the same command again" in told
    assert len(service.jobs) == 1
    assert [file.name for file in Path().iterdir()] == ["in.jsonl"]
