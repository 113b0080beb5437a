"""What the clients of other trainers' protocols send, told again in our words.

Each from the file and commit that the module of its protocol names.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any

import httpx

from shared.errors import WorkerLost
from shared.rewards import Metrics
from sim_workers.engine.messages import Rollout
from tests.unit.reward_server.conftest import Gateway
from tests.unit.reward_server.world import GREEN, says_no

ROW = {"state_id": GREEN, "tls_id": "C", "decision_kind": "extend"}
YES, NO = '{"extend": "yes"}', '{"extend": "no"}'
PROMPT = '<|im_start|>user\nAnswer {"extend": "yes"} or {"extend": "no"}.<|im_end|>\n'
REFERENCE, QUEUE_YES, QUEUE_NO = 5.0, 2.0, 9.0
GAIN_YES = (REFERENCE - QUEUE_YES) / (REFERENCE + QUEUE_YES + 1)
GAIN_NO = (REFERENCE - QUEUE_NO) / (REFERENCE + QUEUE_NO + 1)


def openrlhf_body(*completions: str, **changes: object) -> dict[str, object]:
    """The payload of ``_fetch_rewards_via_http``: the decoded tokens, special ones too."""
    rows = len(completions)
    return {
        "query": [f"{PROMPT}{completion}<|im_end|>" for completion in completions],
        "prompts": [PROMPT] * rows,
        "labels": [json.dumps(ROW)] * rows,
    } | changes


def slime_body(completion: str, label: object = ROW) -> dict[str, object]:
    """The payload of ``remote_rm``."""
    return {"prompt": [{"role": "user"}], "response": completion, "label": label}


def gym_body(*output: Mapping[str, object], **row: object) -> dict[str, object]:
    """``SimpleAgentVerifyRequest.model_dump()``: the row, and what the Responses API gave."""
    response = {
        "id": "resp_1",
        "created_at": 1786000000.0,
        "model": "policy",
        "object": "response",
        "parallel_tool_calls": True,
        "usage": None,
        "output": list(output),
    }
    params = {"input": [{"role": "user", "content": "Extend?", "type": "message"}]}
    return {"responses_create_params": params, "_ng_task_index": 3, "response": response} | row


def message(*texts: str) -> dict[str, object]:
    """A message of the policy, with what a training framework adds."""
    parts = [{"type": "output_text", "text": text, "annotations": []} for text in texts]
    tokens = {"prompt_token_ids": [1, 2], "generation_log_probs": [-0.25, -1e-7]}
    return {"id": "m", "type": "message", "role": "assistant", "content": parts} | tokens


REASONING: dict[str, object] = {
    "id": "r",
    "type": "reasoning",
    "summary": [],
    "content": [{"text": YES}],
}
CALL: dict[str, object] = {"type": "function_call_output", "call_id": "c", "output": YES}


async def post(gateway: Gateway, path: str, body: object, **terms: object) -> httpx.Response:
    """As aiohttp's ``post(url, json=…)`` does: parameters stand in the URL."""
    url = path + "".join(f"{'&' if n else '?'}{k}={v}" for n, (k, v) in enumerate(terms.items()))
    headers = {"Content-Type": "application/json", "Accept": "*/*"}
    return await gateway.http.post(url, content=json.dumps(body), headers=headers)


async def answer(gateway: Gateway, path: str, body: object, **terms: object) -> dict[str, Any]:
    """The same where the answer is 200."""
    response = await post(gateway, path, body, **terms)
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


def lose(*, if_no: bool = True, error: Exception | None = None) -> Callable[[Rollout], None]:
    """Has rollouts fail: those of a no, or of everything that is decided."""

    def fail(rollout: Rollout) -> Metrics | None:
        if rollout.signal_decisions and (says_no(rollout) or not if_no):
            raise error or WorkerLost("the worker died")
        return None

    return fail  # type: ignore[return-value]
