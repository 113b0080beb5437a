"""Other trainers' protocols: what their clients send, and what they make of the answers.

What they send is :mod:`tests.unit.reward_server.compat_clients`.
"""

import asyncio
import json
from typing import Any

import pytest

from reward_server.http.routes.compat import BODIES
from shared.errors import DeadlineExceeded, OutOfMemory, RolloutError, RolloutRejected, WorkerLost
from tests.unit.reward_server.compat_clients import (
    CALL,
    GAIN_NO,
    GAIN_YES,
    NO,
    PROMPT,
    QUEUE_YES,
    REASONING,
    ROW,
    YES,
    answer,
    gym_body,
    lose,
    message,
    openrlhf_body,
    post,
    slime_body,
)
from tests.unit.reward_server.conftest import Gateway, OpenGateway
from tests.unit.reward_server.problem_checks import assert_problem
from tests.unit.reward_server.world import GREEN, YELLOW


class TestOpenRLHF:
    """``SingleTurnAgentExecutor`` sends one row; earlier versions send many."""

    async def test_rewards_as_the_executor_reads_them(self, gateway: Gateway) -> None:
        """``scores`` and ``rewards`` are what becomes a tensor, each extra log a number."""
        info = await answer(gateway, "/compat/openrlhf", openrlhf_body(YES), horizon_s=30)
        score = info.get("scores")
        assert (score, info.get("rewards")) == ([GAIN_YES], [GAIN_YES])
        logs = info.get("extra_logs") or {}
        assert logs == {"invalid": [0.0], "cached": [0.0]}

    async def test_several_rows_in_order(self, gateway: Gateway) -> None:
        """Invalid decisions get the reward that the URL names, and are counted."""
        body = openrlhf_body(NO, "no idea", YES)
        info = await answer(gateway, "/compat/openrlhf", body, invalid_reward=-0.5)
        assert info["rewards"] == [GAIN_NO, -0.5, GAIN_YES]
        assert info["extra_logs"]["invalid"] == [0.0, 1.0, 0.0]
        again = await answer(gateway, "/compat/openrlhf", body, invalid_reward=-0.5)
        assert again["extra_logs"]["cached"] == [1.0, 0.0, 1.0]

    async def test_completion_is_what_stands_behind_the_prompt(self, gateway: Gateway) -> None:
        """Also behind a token for the beginning, and where the prompt is said again."""
        body = openrlhf_body(YES, query=[f"<s>{PROMPT}{YES}"])
        assert (await answer(gateway, "/compat/openrlhf", body))["rewards"] == [GAIN_YES]
        body = openrlhf_body(YES, query=[f"{PROMPT}{PROMPT}{YES}"])
        info = await answer(gateway, "/compat/openrlhf", body)
        assert info["extra_logs"]["invalid"] == [1.0], "the prompt's examples are answers too"

    async def test_cut_prompt_is_refused(self, gateway: Gateway) -> None:
        """Nobody guesses where the completion begins."""
        body = openrlhf_body(YES, query=[f"{PROMPT[9:]}{YES}"])
        response = await post(gateway, "/compat/openrlhf", body)
        assert_problem(response, 422, "prompt_not_in_query")

    @pytest.mark.parametrize(
        "labels", [[""], [None], ["{}"], ["[1]"], [{"state_id": GREEN}], [ROW | {"tls_id": 1}]]
    )
    async def test_labels_that_name_no_situation(self, gateway: Gateway, labels: list[Any]) -> None:
        """The row is named; nothing is rolled out."""
        response = await post(gateway, "/compat/openrlhf", openrlhf_body(YES, labels=labels))
        assert "labels[0]" in assert_problem(response, 422, "invalid_label")["detail"]
        assert not gateway.runner.runs

    @pytest.mark.parametrize("change", [{"labels": []}, {"prompts": [PROMPT] * 2}, {"query": []}])
    async def test_lists_of_different_length(
        self, gateway: Gateway, change: dict[str, object]
    ) -> None:
        """No row is scored with another's label."""
        response = await post(gateway, "/compat/openrlhf", openrlhf_body(YES, **change))
        assert_problem(response, 422, "invalid_request")

    async def test_one_failure_fails_all_and_the_retry_hits_the_cache(
        self, gateway: Gateway
    ) -> None:
        """No zero in its place: ``raise_for_status`` has the client ask again."""
        gateway.runner.fail = lose()
        body = openrlhf_body(YES, NO, YES)
        response = await post(gateway, "/compat/openrlhf", body)
        problem = assert_problem(response, 503, "rewards_missing")
        assert "1 of 3" in problem["detail"]
        assert "worker_lost (1)" in problem["detail"]
        assert problem["retryable"]
        assert int(response.headers["retry-after"]) > 0
        gateway.runner.fail = lambda rollout: None
        info = await answer(gateway, "/compat/openrlhf", body)
        assert info["rewards"] == [GAIN_YES, GAIN_NO, GAIN_YES]
        assert info["extra_logs"]["cached"] == [1.0, 0.0, 1.0]

    async def test_what_a_retry_cannot_help_is_no_503(self, gateway: Gateway) -> None:
        """It says so, under the reason's own code."""
        gateway.runner.fail = lose(error=RolloutRejected("SUMO refused it"))
        response = await post(gateway, "/compat/openrlhf", openrlhf_body(YES, NO))
        assert not assert_problem(response, 422, "rollout_rejected")["retryable"]


class TestSlime:
    """``remote_rm`` sends one sample and takes the JSON as ``sample.reward``."""

    @pytest.mark.parametrize("label", [ROW, json.dumps(ROW), ROW | {"difficulty": 0.5}])
    async def test_reward_under_its_key(self, gateway: Gateway, label: object) -> None:
        """``Sample.get_reward_value`` with ``--reward-key reward``; labels of either form."""
        reward = await answer(gateway, "/compat/slime?horizon_s=30", slime_body(YES, label))
        assert reward["reward"] == GAIN_YES
        assert (reward["status"], reward["error_code"], reward["cached"]) == ("scored", None, False)
        assert reward["metrics"]["queue_veh"] == QUEUE_YES
        assert {rollout.horizon_s for rollout in gateway.runner.runs} == {30}

    async def test_metadata_where_there_is_no_label(self, gateway: Gateway) -> None:
        """For custom functions that send it."""
        body = slime_body(NO, None) | {"metadata": ROW}
        assert (await answer(gateway, "/compat/slime", body))["reward"] == GAIN_NO

    async def test_invalid_decision(self, gateway: Gateway) -> None:
        """A real, low reward; the code says why."""
        state = ROW | {"state_id": YELLOW}
        reward = await answer(gateway, "/compat/slime", slime_body(YES, state), invalid_reward=-2)
        assert (reward["reward"], reward["status"]) == (-2.0, "invalid")
        assert reward["error_code"]

    async def test_failure_is_an_error(self, gateway: Gateway) -> None:
        """Never a number."""
        gateway.runner.fail = lose(if_no=False)
        response = await post(gateway, "/compat/slime", slime_body(YES))
        assert_problem(response, 503, "rewards_missing")
        assert "reward" not in response.json()

    @pytest.mark.parametrize("label", [None, "4", "", {}, ["x"]])
    async def test_label_that_names_no_situation(self, gateway: Gateway, label: object) -> None:
        """Refused, and said what is needed."""
        response = await post(gateway, "/compat/slime", slime_body(YES, label))
        assert "state_id" in assert_problem(response, 422, "invalid_label")["detail"]


class TestNeMoGym:
    """``SimpleAgent.run`` posts to ``/verify`` and validates the answer as a verify response."""

    async def test_row_comes_back_with_the_reward(self, gateway: Gateway) -> None:
        """Byte for byte what was sent, so that tokens and log probabilities survive."""
        body = gym_body(REASONING, message(YES), verifier_metadata=ROW)
        verified = await answer(gateway, "/compat/nemo-gym/verify", body, reward="queue")
        ours = {key: verified.pop(key) for key in list(verified) if key not in body}
        assert verified == body
        assert ours == {
            "reward": -QUEUE_YES,
            "greenfork_status": "scored",
            "greenfork_error_code": None,
            "greenfork_invalid": 0,
            "greenfork_cached": 0,
            "greenfork_queue_veh": QUEUE_YES,
        }

    async def test_fields_of_the_row_itself(self, gateway: Gateway) -> None:
        """Dataset columns may stand at the top."""
        body = gym_body(message(NO), **ROW)
        verified = await answer(gateway, "/compat/nemo-gym/verify", body)
        assert verified["reward"] == GAIN_NO
        assert verified["state_id"] == GREEN

    async def test_last_message_counts(self, gateway: Gateway) -> None:
        """Neither what was said before a tool was called nor what the tool said."""
        body = gym_body(message(NO), CALL, message('{"extend"', ': "yes"}'), CALL, **ROW)
        assert (await answer(gateway, "/compat/nemo-gym/verify", body))["reward"] == GAIN_YES

    @pytest.mark.parametrize(
        "output",
        [
            [],
            [REASONING],
            [CALL],
            [message()],
            [message(NO) | {"content": [{"type": "refusal", "refusal": YES}]}],
            [
                {
                    "type": "message",
                    "role": "user",
                    "content": [{"type": "output_text", "text": YES}],
                }
            ],
        ],
    )
    async def test_no_message_is_an_invalid_decision(
        self, gateway: Gateway, output: list[dict[str, object]]
    ) -> None:
        """The policy's own doing, not a failure."""
        verified = await answer(gateway, "/compat/nemo-gym/verify", gym_body(*output, **ROW))
        assert (verified["reward"], verified["greenfork_invalid"]) == (-1.0, 1)
        assert verified["greenfork_error_code"] == "no_json"

    async def test_failure_is_an_error(self, gateway: Gateway) -> None:
        """Never a row with a reward of zero."""
        gateway.runner.fail = lose(if_no=False)
        body = gym_body(message(YES), verifier_metadata=ROW)
        response = await post(gateway, "/compat/nemo-gym/verify", body)
        assert_problem(response, 503, "rewards_missing")

    @pytest.mark.parametrize(
        ("error", "kind"),
        [
            (WorkerLost("the worker died"), "provider_unavailable"),
            (OutOfMemory("it needs more"), "provider_oom_killed"),
            (RolloutRejected("SUMO refuses"), "verifier_error"),
            (DeadlineExceeded("no item finished within timeout_s = 30"), "verifier_error"),
        ],
    )
    async def test_missing_reward_as_a_masked_sample(
        self, gateway: Gateway, error: RolloutError, kind: str
    ) -> None:
        """Where that is asked for, whatever a row of an earlier run says of itself."""
        gateway.runner.fail = lose(if_no=False, error=error)
        body = gym_body(message(YES), verifier_metadata=ROW)
        earlier = {"mask_sample": False, "failure_kind": "session_lost", "failure_reason": "old"}
        path = "/compat/nemo-gym/verify"
        verified = await answer(gateway, path, body | earlier, missing="mask")
        ours = {key: verified.pop(key) for key in list(verified) if key not in body}
        assert verified == body
        assert ours == {
            "reward": 0.0,
            "mask_sample": True,
            "failure_kind": kind,
            "failure_reason": error.message,
            "greenfork_status": "failed",
            "greenfork_error_code": error.code,
            "greenfork_invalid": 0,
            "greenfork_cached": 0,
            "greenfork_queue_veh": None,
        }

    async def test_no_mask_on_what_has_a_reward(self, gateway: Gateway) -> None:
        """Invalid decisions included; and what is wrong with the request is an error."""
        path = "/compat/nemo-gym/verify"
        for said, reward in ((YES, GAIN_YES), ("no idea", -1.0)):
            body = gym_body(message(said), verifier_metadata=ROW, mask_sample=True)
            verified = await answer(gateway, path, body, missing="mask")
            assert (verified["reward"], verified["mask_sample"]) == (reward, False)
            assert verified["failure_kind"] is None
        unknown = gym_body(message(YES), verifier_metadata=ROW | {"state_id": "crossing@1-0"})
        assert_problem(await post(gateway, path, unknown, missing="mask"), 404, "unknown_state")

    @pytest.mark.parametrize("row", [{}, {"verifier_metadata": {"state_id": GREEN}}, {"tls_id": 1}])
    async def test_row_without_a_situation(self, gateway: Gateway, row: dict[str, object]) -> None:
        """Refused, and said what is needed."""
        response = await post(gateway, "/compat/nemo-gym/verify", gym_body(message(YES), **row))
        assert_problem(response, 422, "invalid_label")


PATHS = {
    "/compat/openrlhf": openrlhf_body(YES),
    "/compat/slime": slime_body(YES),
    "/compat/nemo-gym/verify": gym_body(message(YES), verifier_metadata=ROW),
}


@pytest.mark.parametrize(("path", "body"), PATHS.items())
class TestEvery:
    """What all of them share with ``/v1/score``."""

    async def test_same_reward_as_scoring(
        self, gateway: Gateway, path: str, body: dict[str, object]
    ) -> None:
        """Under every parameter that the URL may hold."""
        terms = {"reward": "wait", "horizon_s": 7, "follow_up": "max_pressure", "timeout_s": 9}
        found = await answer(gateway, f"{path}?seeds=1&seeds=2&extend_s=7", body)
        decision = {"kind": "extend", "extend": True, "extend_s": 7}
        direct = await gateway.scored({"decision": decision}, reward={"seeds": [1, 2]})
        (reward,) = found.get("rewards", [found.get("reward")])
        assert reward == direct["results"][0]["reward"]
        assert direct["results"][0]["cached"], "the same outcomes, from the same ledger"
        await answer(gateway, path, body, **terms)
        assert {(t.horizon_s, t.follow_up) for t in gateway.runner.runs} >= {(7, "max_pressure")}

    @pytest.mark.parametrize(
        ("terms", "code"),
        [
            ("reward=luck", "unknown_reward"),
            ("horizon_s=0", "invalid_request"),
            ("invalid_reward=nan", "invalid_request"),
            ("timeout_s=0", "invalid_request"),
            ("seeds=1&seeds=1", "invalid_request"),
            ("horizon=30", "invalid_request"),
        ],
    )
    async def test_wrong_terms(
        self, gateway: Gateway, path: str, body: dict[str, object], terms: str, code: str
    ) -> None:
        """A misspelt parameter is not another reward than the one that was meant."""
        assert_problem(await post(gateway, f"{path}?{terms}", body), 422, code)

    async def test_unknown_state(
        self, gateway: Gateway, path: str, body: dict[str, object]
    ) -> None:
        """As in scoring."""
        elsewhere = json.loads(json.dumps(body).replace(GREEN, "nowhere@1-ffffffffffff"))
        assert_problem(await post(gateway, path, elsewhere), 404, "unknown_state")

    @pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b'{"response": 1}'])
    async def test_bodies_that_are_none(
        self, gateway: Gateway, path: str, body: dict[str, object], content: bytes
    ) -> None:
        """A problem document each, never a failure of the service."""
        headers = {"Content-Type": "application/json"}
        response = await gateway.http.post(path, content=content, headers=headers)
        assert response.status_code in (400, 422)
        assert response.headers["content-type"] == "application/problem+json"

    async def test_key_is_asked_for(
        self, open_gateway: OpenGateway, path: str, body: dict[str, object]
    ) -> None:
        """The same gate as everywhere."""
        gateway = await open_gateway(api_key="s3cret")
        assert_problem(await post(gateway, path, body), 401, "unauthorized")

    async def test_no_room(
        self, open_gateway: OpenGateway, path: str, body: dict[str, object]
    ) -> None:
        """Admission is that of scoring."""
        gateway = await open_gateway(max_items=1, max_pending_items=1)
        gateway.runner.gate.clear()
        waiting = asyncio.create_task(post(gateway, path, body))
        await gateway.runner.has_begun(1)
        response = await post(gateway, path, body)
        assert_problem(response, 503, "overloaded")
        gateway.runner.gate.set()
        assert (await waiting).status_code == 200

    async def test_nothing_in_time(
        self, gateway: Gateway, path: str, body: dict[str, object]
    ) -> None:
        """The answer comes before the client's own timeout, and is an error."""
        gateway.runner.gate.clear()
        response = await post(gateway, path, body, timeout_s=0.01)
        assert_problem(response, 504, "deadline_exceeded")


async def test_examples_of_the_documents_are_valid(gateway: Gateway) -> None:
    """What the OpenAPI document shows can be sent."""
    schema = (await gateway.http.get("/openapi.json")).json()
    models = {model.__name__: model for model in BODIES}
    for path in PATHS:
        body = schema["paths"][path]["post"]["requestBody"]["content"]["application/json"]
        name = body["schema"]["$ref"].rpartition("/")[2]
        example = schema["components"]["schemas"][name]["example"]
        models[name].model_validate(example)
        assert_problem(await post(gateway, path, example), 404, "unknown_state")
