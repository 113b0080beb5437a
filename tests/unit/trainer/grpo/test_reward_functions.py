"""Reward functions: what a batch is asked for once, and what becomes of each completion."""

import pytest

from tests.unit.trainer.grpo.fake_functions import NO, YES, FakeService, Functions
from trainer.grpo.format_reward import format_reward
from trainer.grpo.reward_functions import batch_of


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (YES, 1.0),
        (f"\n {NO} ", 1.0),
        ('{"extend": "yes", "extend_sec": 10}', 1.0),
        (f"My answer: {YES}", 0.0),
        (f"```json\n{YES}\n```", 0.0),
        ('{"extend": "maybe"}', -1.0),
        ('{"extend": true}', -1.0),
        ('{"extend": "yes", "why": "queue"}', -1.0),
        (f"[{YES}]", -1.0),
        (f"[{YES},]", -1.0),
        (f"[{YES}", -1.0),
        ('{"extend": NaN}', -1.0),
        ("", -1.0),
        (f"<think>\n\n</think>\n\n{YES}", 1.0),
        (f"</think>{YES}", 1.0),
        (f"<think>East.</think>{YES}", 0.0),
        (f"<think></think>Well: {YES}", 0.0),
        (f"<think>{YES}", -1.0),
        (f"{YES}<think></think>", -1.0),
        (f"\ud83d{YES}", -1.0),
    ],
)
def test_form_of_an_answer(text: str, value: float) -> None:
    """Strict JSON, JSON inside other text, and neither."""
    assert format_reward(text) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (f"East is longer.\n</think>\n\n{YES}", 1.0),
        (f"</think>{YES}", 1.0),
        (f"East.</think>So: {YES}", 0.0),
        (f"Should it be {NO}? East", -1.0),
        (YES, -1.0),
    ],
)
def test_reasoning_that_the_template_opened_is_asked_for(text: str, value: float) -> None:
    """The answer alone is judged; a block that was never closed holds none."""
    assert format_reward(text, opened="<think>\n") == value


async def test_half_a_surrogate_pair_spoils_its_own_completion_only() -> None:
    """The others of the batch are scored."""
    form, traffic = await Functions(FakeService())([YES, f"\ud83d {YES}", f"\ud83d\udea6{YES}"])
    assert (form, traffic) == ([1.0, -1.0, 0.0], [0.5, -0.75, 0.5])


async def test_a_completion_without_content_is_empty() -> None:
    """As a tokenizer that parses responses may give it."""
    batch = batch_of(
        [[{"role": "assistant", "content": None}]],
        {"state_id": ["s"], "tls_id": ["A"], "decision_kind": ["extend"]},
    )
    assert batch.texts == [""]


async def test_metrics_of_a_batch() -> None:
    """Shares by outcome and by code, the share of yes, and groups that do not vary."""
    functions = Functions(FakeService())
    await functions([YES, YES, YES, "?", NO, "fail", YES], list("aabbccd"))
    assert functions.logged == pytest.approx(
        {
            "outcomes/invalid": 1 / 7,
            "outcomes/failed": 1 / 7,
            "outcomes/cached": 5 / 7,
            "outcomes/clamped": 0,
            "outcomes/yes": 4 / 5,
            "outcomes/zero_variance_groups": 1 / 2,
            "reward_service/seconds": 1,
            "reward_service/rollouts": 2,
            "invalid/no_json": 1 / 7,
            "failed/worker_lost": 1 / 7,
        }
    )


async def test_a_code_that_was_seen_is_reported_as_zero_later() -> None:
    """So that its mean over several batches is not of the bad ones only."""
    functions = Functions(FakeService())
    await functions(["?"])
    await functions([YES])
    assert functions.logged["invalid/no_json"] == 0


async def test_too_many_failures_stop_the_run() -> None:
    """Only beyond the limit, and the reason names the code."""
    functions = Functions(FakeService(), window=4)
    await functions(["fail", YES, "fail", YES])
    assert functions.stats.stop.reason is None
    await functions(["fail", "fail", YES, YES])
    assert "'worker_lost' (4 times)" in (functions.stats.stop.reason or "")


async def test_invalid_answers_as_the_worst_of_their_group() -> None:
    """Of the batch where the group has none; the form still tells them apart."""
    functions = Functions(FakeService(), is_invalid_worst=True)
    form, traffic = await functions([YES, "?", "?", "?"], ["s", "s", "t", "t"])
    assert traffic == [0.5, 0.5, 0.5, 0.5]
    assert (await functions(["?"]))[1] == [-0.75]
    assert form == [1.0, -1.0, -1.0, -1.0]


async def test_control_deals_within_groups() -> None:
    """Some batch gives the rewards to the wrong answers; none gives them to another group."""
    functions = Functions(FakeService(), deal_seed=map(str, range(10)).__next__)
    dealt = [(await functions([YES, NO, NO, NO], ["s", "s", "t", "t"]))[1] for _ in range(10)]
    assert [-0.5, 0.5, -0.5, -0.5] in dealt
    assert all(traffic[2:] == [-0.5, -0.5] for traffic in dealt)
