"""Completions of other trainers whose chat template opens a block of reasoning."""

import json

import pytest

from reward_server.http.compat.nemo_gym import VerifyRequest
from reward_server.http.compat.openrlhf import OpenRLHFRequest
from reward_server.http.compat.slime import SlimeRequest
from shared.decisions import Decision, Extend
from shared.errors import InvalidDecision
from shared.language.completions import parse_completion
from shared.wire.scoring import Item

ROW = {"state_id": "a@1-00", "tls_id": "C", "decision_kind": "extend"}
PROMPT = "<|user|>Go?<|assistant|><think>\n"
CUT = 'Should it be {"extend": "no"}? East'
DONE = 'East is longer.</think>{"extend": "yes"}'


def read(item: Item) -> Decision | str | None:
    """The decision of an item, or the code of what is wrong."""
    try:
        return parse_completion(item.completion or "", "extend")
    except InvalidDecision as exc:
        return exc.code


@pytest.mark.parametrize(
    ("completion", "found"), [(CUT, "unfinished_reasoning"), (DONE, Extend(extend=True))]
)
def test_the_prompt_says_what_was_opened(completion: str, found: object) -> None:
    """Where it comes along, a draft in a reasoning that was cut off is no answer."""
    body = {"query": [f"<s>{PROMPT}{completion}</s>"], "prompts": [PROMPT], "labels": [ROW]}
    assert read(OpenRLHFRequest.model_validate(body).items(5)[0]) == found
    sample = {"prompt": PROMPT, "response": completion, "label": ROW}
    assert read(SlimeRequest.model_validate(sample).item(5)) == found


def test_a_prompt_of_messages_opens_nothing() -> None:
    """What slime gives before the template was applied."""
    sample = {"prompt": [{"role": "user"}], "response": CUT, "label": ROW}
    assert read(SlimeRequest.model_validate(sample).item(5)) == Extend(extend=False)


def test_half_a_surrogate_pair_comes_in_any_protocol() -> None:
    """As an escape in the JSON of the request; that row alone is invalid."""
    half = '\ud83d {"extend": "yes"}'
    queries = [PROMPT + text for text in (f"</think>{half}", DONE)]
    body = {"query": queries, "prompts": [PROMPT] * 2, "labels": [ROW] * 2}
    items = OpenRLHFRequest.model_validate_json(json.dumps(body)).items(5)
    assert [read(item) for item in items] == ["not_unicode", Extend(extend=True)]
    sample = json.dumps({"response": half, "label": ROW})
    assert read(SlimeRequest.model_validate_json(sample).item(5)) == "not_unicode"
    message = {
        "type": "message",
        "role": "assistant",
        "content": [{"type": "output_text", "text": half}],
    }
    row = json.dumps({"verifier_metadata": ROW, "response": {"output": [message]}})
    assert read(VerifyRequest.model_validate_json(row).item(5)) == "not_unicode"
