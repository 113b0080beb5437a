"""What a session answers: frames as OpenEnv's own server words them."""

import json
from typing import Any

import pytest

from reward_server.auth.callers import ANYONE
from reward_server.http.openenv.session import OpenEnvSession
from shared.errors import EpisodeInterrupted
from shared.wire.episodes import PRESETS, StepRequest
from tests.unit.reward_client.environments.made_up import FIGURES, MadeUp
from tests.unit.reward_server.openenv.desk import SCENARIO, Desk, Served

PHASE_2 = '{"next_phase_id": 2}'


class Client:
    """A client without a socket."""

    def __init__(self, made_up: MadeUp | None = None) -> None:
        self.desk = Desk(made_up or MadeUp())
        self.session = OpenEnvSession(self.desk, ANYONE, Served())

    async def say(self, text: str) -> dict[str, Any]:
        """A frame's answer."""
        told = await self.session.answer(text)
        assert told is not None
        plain: dict[str, Any] = json.loads(json.dumps(told))
        return plain

    async def ask(self, kind: str, data: object = None) -> dict[str, Any]:
        """The data of the answer to a message as OpenEnv's client writes it."""
        message = {"type": kind} | ({} if data is None else {"data": data})
        told = await self.say(json.dumps(message))
        expected = {"reset": "observation", "step": "observation", "state": "state"}
        assert told["type"] == expected[kind], told
        data_of: dict[str, Any] = told["data"]
        return data_of

    async def refused(self, kind: str, data: object) -> dict[str, Any]:
        """The same where the answer is an error."""
        told = await self.say(json.dumps({"type": kind, "data": data}))
        assert told["type"] == "error", told
        data_of: dict[str, Any] = told["data"]
        return data_of

    @property
    def asked(self) -> list[StepRequest]:
        """The steps of the last episode."""
        return self.desk.made_up.begun[-1].asked


async def test_reset_and_step() -> None:
    """The reward and the end are lifted out of the observation, the metadata stands in both."""
    client = Client()
    begun = await client.ask("reset", {})
    assert begun.keys() == {"observation", "reward", "done", "metadata"}
    assert (begun["reward"], begun["done"]) == (None, False)
    assert begun["observation"]["signals"]["C"]["prompt"][0]["content"] == "step 0"
    stepped = await client.ask("step", {"completion": PHASE_2})
    assert (stepped["done"], stepped["observation"]["rewards"]) == (False, {"C": -2.0})
    assert stepped["observation"]["metadata"] == stepped["metadata"]
    assert stepped["metadata"] == {"episode_id": "e1", "step": 1}


async def test_reset_takes_the_fields_of_an_episode() -> None:
    """And a name that the client gives it, which is in its state."""
    client = Client()
    control = {"preset": "sumo-rl"}
    fields = {"seed": 7, "signals": ["C"], "control": control, "observe": ["features"]}
    assert await client.ask("state") == {
        "episode_id": None,
        "step_count": 0,
        "greenfork_episode_id": None,
        "time_s": None,
        "done": False,
    }
    await client.ask("reset", fields | {"episode_id": "mine"})
    request = client.desk.made_up.begun[-1].request
    assert (request.scenario_id, request.seed, request.signals) == (SCENARIO, 7, ("C",))
    assert (request.control, request.observe) == (PRESETS["sumo-rl"], ("features",))
    state = await client.ask("state")
    assert (state["episode_id"], state["greenfork_episode_id"]) == ("mine", "e1")
    await client.ask("reset", {"state_id": "s@1-aaaaaaaaaaaa"})
    assert client.desk.made_up.begun[-1].request.scenario_id is None
    assert (await client.ask("state"))["episode_id"] == "e2", "the name was the other's"


@pytest.mark.parametrize(
    ("action", "completion"),
    [
        ({"completion": PHASE_2}, PHASE_2),
        ({"completion": "<think>…</think>no idea"}, "<think>…</think>no idea"),
        ({"completion": {"next_phase_id": 2}}, PHASE_2),
        ({"completion": PHASE_2, "metadata": {"tag": 1}}, PHASE_2),
        ({"next_phase_id": 2}, PHASE_2),
        ({"C": {"next_phase_id": 2}}, PHASE_2),
        ({"completion": {"C": PHASE_2}}, PHASE_2),
        ({"completion": 2}, "2"),
        ({"completion": None}, "null"),
        ({}, "{}"),
    ],
)
async def test_action_at_one_signal(action: dict[str, Any], completion: str) -> None:
    """A text, any JSON value, or the answer itself as the action."""
    client = Client()
    await client.ask("reset", {})
    await client.ask("step", action)
    assert client.asked[-1].completions == {"C": completion}


@pytest.mark.parametrize(
    ("action", "completions"),
    [
        (
            {"completion": {"A": {"next_phase_id": 2}, "B": "no idea"}},
            {"A": PHASE_2, "B": "no idea"},
        ),
        ({"A": {"next_phase_id": 2}}, {"A": PHASE_2}),
        ({"completion": f'Both: {{"A": {PHASE_2}}}'}, {"A": PHASE_2}),
        ({"completion": "no idea"}, {"A": "no idea", "B": "no idea"}),
        ({"completion": [1]}, {"A": "[1]", "B": "[1]"}),
        ({"completion": {}}, {}),
    ],
)
async def test_action_at_several_signals(
    action: dict[str, Any], completions: dict[str, str]
) -> None:
    """An object by signal, also within a text; what cannot be read is each one's."""
    client = Client(MadeUp(signals=("A", "B")))
    await client.ask("reset", {})
    await client.ask("step", action)
    assert client.asked[-1].completions == completions


async def test_nothing_is_given_where_nothing_may_be_decided() -> None:
    """An agent must act all the same, and is not blamed for it."""
    client = Client(MadeUp(closed_at=frozenset({0})))
    await client.ask("reset", {})
    for _ in range(2):
        await client.ask("step", {"completion": PHASE_2})
    assert [one.completions for one in client.asked] == [{}, {"C": PHASE_2}]


async def test_missing_reward_is_an_error_frame() -> None:
    """A null would become 0.0 in verifiers; the step is done, and the next one can be asked for."""
    client = Client(MadeUp(reward=None))
    await client.ask("reset", {})
    for step in (1, 2):
        told = await client.refused("step", {"completion": PHASE_2})
        assert (told["code"], told["greenfork_code"]) == ("EXECUTION_ERROR", "rewards_missing")
        assert (await client.ask("state"))["step_count"] == step


async def test_failed_step_can_be_sent_again() -> None:
    """It is the same step, and no reply is one off."""
    client = Client()
    await client.ask("reset", {})
    client.desk.fails = EpisodeInterrupted("its processes died")
    told = await client.refused("step", {"completion": PHASE_2})
    assert (told["code"], told["retryable"]) == ("EXECUTION_ERROR", True)
    assert told["message"] == "its processes died; send it again [episode_interrupted]"
    assert (await client.ask("step", {"completion": PHASE_2}))["metadata"]["step"] == 1


async def test_end() -> None:
    """It is done, with its figures; a step after it is an error."""
    client = Client(MadeUp(steps=1))
    await client.ask("reset", {})
    last = await client.ask("step", {"completion": PHASE_2})
    assert last["done"]
    assert last["metadata"]["figures"]["delay_s"] == FIGURES.delay_s
    assert (await client.refused("step", {}))["greenfork_code"] == "episode_over"


async def test_unfinished_episodes_are_not_left_behind() -> None:
    """Neither by a reset nor by leaving; finished ones are kept."""
    client = Client(MadeUp(steps=1))
    await client.ask("reset", {})
    await client.ask("reset", {})
    assert client.desk.deleted == ["e1"]
    await client.ask("step", {"completion": PHASE_2})
    await client.ask("reset", {})
    assert client.desk.deleted == ["e1"]
    assert await client.session.answer('{"type": "close"}') is None
    await client.session.close()
    assert client.desk.deleted == ["e1", "e3"]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("{", "INVALID_JSON"),
        ("[" * 100_000, "INVALID_JSON"),
        ("[]", "UNKNOWN_TYPE"),
        ("{}", "UNKNOWN_TYPE"),
        ('{"type": "mcp", "data": {}}', "UNKNOWN_TYPE"),
        ('{"type": ["reset"]}', "UNKNOWN_TYPE"),
        ('{"type": "step"}', "VALIDATION_ERROR"),
        ('{"type": "reset", "more": 1}', "VALIDATION_ERROR"),
        ('{"type": "reset", "data": {"seeds": [1]}}', "VALIDATION_ERROR"),
        ('{"type": "reset", "data": {"seed": "x"}}', "VALIDATION_ERROR"),
        ('{"type": "reset", "data": {"episode_id": 7}}', "VALIDATION_ERROR"),
        ('{"type": "reset", "data": {"state_id": "s@1-a", "seed": 7}}', "VALIDATION_ERROR"),
        ('{"type": "step", "data": {"completion": 1, "phase": 2}}', "VALIDATION_ERROR"),
    ],
)
async def test_wrong_frames(text: str, code: str) -> None:
    """Each is answered, and the session goes on."""
    client = Client()
    await client.ask("reset", {})
    told = await client.say(text)
    assert (told["type"], told["data"]["code"]) == ("error", code)
    assert (await client.ask("step", {"completion": PHASE_2}))["reward"] is not None


async def test_step_before_reset() -> None:
    """The way out is said."""
    told = await Client().refused("step", {"completion": PHASE_2})
    assert (told["code"], told["greenfork_code"]) == ("EXECUTION_ERROR", "reset_first")


async def test_signal_that_is_not_steered() -> None:
    """The client is wrong, not the model: nothing is decided."""
    client = Client(MadeUp(signals=("A", "B")))
    await client.ask("reset", {})
    told = await client.refused("step", {"completion": {"Z": {"next_phase_id": 2}}})
    assert (told["code"], told["greenfork_code"]) == ("VALIDATION_ERROR", "unknown_signal")
    assert client.asked == []


@pytest.mark.parametrize(
    "data", [{"problem_id": "bw-1"}, {"domain": "planning"}, {"domain": "planning", "seed": 1}]
)
async def test_problems_of_other_domains_are_no_episodes(data: dict[str, object]) -> None:
    """The client is told where their answers are scored."""
    told = await Client().refused("reset", data)
    assert told["code"] == "VALIDATION_ERROR"
    assert told["message"].endswith("send it to POST /v1/score [traffic_only]")
