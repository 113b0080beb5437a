"""``greenfork outcomes``, with a service that is a function."""

import json
from collections.abc import Callable
from functools import partial
from typing import Any

import httpx
import pytest

from greenfork.main import app
from reward_client import RetryPolicy, RewardClient
from tests.unit.reward_client.fake_service import explored, problem

Run = Callable[..., int]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs the verb against a service, and gives its exit status."""

    def run_outcomes(service: Any, *options: str) -> int:  # noqa: ANN401
        transport = httpx.MockTransport(service)
        client = partial(RewardClient, retry=RetryPolicy(retries=0), transport=transport)
        monkeypatch.setattr("reward_client.RewardClient", client)
        with pytest.raises(SystemExit) as ended:
            app(["outcomes", "--url", "http://s", "s@1-aaaaaaaaaaaa", *options])
        assert isinstance(ended.value.code, int)
        return ended.value.code

    return run_outcomes


def one_failed(request: httpx.Request) -> httpx.Response:
    """An answer in which a decision failed."""
    body = json.loads(explored(request).content)
    failure = {
        "decision": {"kind": "extend", "extend": False},
        "status": "failed",
        "reward": None,
        "regret": None,
        "rank": None,
        "error": {"code": "worker_lost", "message": "gone", "retryable": True},
    }
    body["outcomes"].append(failure)
    body["counts"]["failed"] = 1
    return httpx.Response(200, json=body)


def test_table_says_what_each_decision_leads_to(
    run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the baseline, no intervention, below it."""
    assert run(explored) == 0
    said = capsys.readouterr().out
    assert "yes, 5 s more" in said
    assert "1.0000" in said
    assert "no intervention" in said


def test_json_is_the_answer(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    """As the service gave it, for the terms that were asked for."""
    assert run(explored, "--tls", "C", "--kind", "plan", "--reward", "wait", "--json") == 0
    body = json.loads(capsys.readouterr().out)
    assert (body["tls_id"], body["kind"], body["reward"]["name"]) == ("C", "plan", "wait")


def test_failed_decision_is_1_and_listed(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    """By its code, in its line."""
    assert run(one_failed) == 1
    assert "worker_lost" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (["--kind", "hold"], "unknown_decision_kind"),
        (["--reward", "luck"], "unknown_reward"),
        (["--horizon", "0"], "invalid_request"),
        (["--colour", "red"], "usage"),
    ],
)
def test_unusable_input_is_2(
    run: Run, capsys: pytest.CaptureFixture[str], options: list[str], code: str
) -> None:
    """Each with its code, before anything is sent."""
    assert run(explored, *options, "--json") == 2
    assert json.loads(capsys.readouterr().out)["error"]["code"] == code


def test_refusal_is_2_with_its_code(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    """The service's own."""
    assert run(lambda request: problem(422, "tls_id_needed")) == 2
    assert "tls_id_needed" in capsys.readouterr().err
