"""The examples of docs/integrations.md work, with the trainers' own parts stood in for."""

import json
import re
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest
import yaml

import reward_client
from reward_client import RetryPolicy, RewardClient, SyncRewardClient
from reward_client.verl import VerlTerms
from reward_server.http.compat.nemo_gym import VerifyRequest
from shared.language.completion_items import Situation
from shared.wire.scoring import ScoreItem
from shared.wire.trainer_terms import TrainerTerms
from tests.unit.reward_client.fake_service import Service, Waits
from tests.unit.reward_client.test_verl import answering

PAGE = (Path(__file__).parents[2] / "docs" / "integrations.md").read_text()
LABEL = {"state_id": "s@1-aaaaaaaaaaaa", "tls_id": "C", "decision_kind": "extend"}
PROMPT = [{"role": "user", "content": "Extend?"}]
YES = '{"extend": "yes"}'


def block(language: str, name: str) -> str:
    """A named example."""
    (found,) = re.findall(rf"^```{language} {name}\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    return str(found)


def names_of(name: str) -> dict[str, Any]:
    """What an example in Python defines."""
    names: dict[str, Any] = {"__name__": f"example_{name}"}
    exec(compile(block("python", name), name, "exec"), names)  # noqa: S102
    return names


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Service]:
    """Puts a scripted service behind every client that an example makes."""

    def begin(*statuses: str) -> Service:
        service = Service(answering(*statuses))
        for kind in (RewardClient, SyncRewardClient):
            transport = httpx.MockTransport(service)
            monkeypatch.setattr(
                reward_client, kind.__name__, partial(_never_waiting, kind, transport)
            )
        return service

    return begin


def _never_waiting(
    kind: Callable[..., Any], transport: httpx.MockTransport, url: str, **_: object
) -> object:
    return kind(url, retry=RetryPolicy(retries=0, sleep=Waits()), transport=transport)


def test_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each file holds rows in which its protocol finds what the prompt was about."""
    dataset = tmp_path / "datasets" / "crossing"
    dataset.mkdir(parents=True)
    (dataset / "train.jsonl").write_text(json.dumps(LABEL | {"prompt": PROMPT, "seed": 1}) + "\n")
    monkeypatch.chdir(tmp_path)
    names_of("rows")
    (openrlhf, slime, gym, verl) = (
        json.loads((tmp_path / f"{name}.jsonl").read_text())
        for name in ("openrlhf", "slime", "nemo_gym", "verl")
    )
    expected = Situation.model_validate(LABEL)
    assert Situation.read(openrlhf["label"], "label") == expected
    assert Situation.read(slime["label"], "label") == expected
    assert Situation.read(verl["reward_model"]["ground_truth"], "ground_truth") == expected
    item = VerifyRequest.model_validate(gym | {"response": {"output": []}}).item(5)
    assert isinstance(item, ScoreItem)
    assert (item.state_id, item.tls_id) == (expected.state_id, expected.tls_id)
    assert openrlhf["input"] == slime["prompt"] == verl["prompt"] == PROMPT


def test_urls_hold_terms() -> None:
    """Every URL of a protocol is one that the service takes."""
    urls = re.findall(r"http://[^\s\"`]*/compat/[^\s\"`]*", PAGE)
    paths = {urlsplit(url).path for url in urls}
    assert paths == {"/compat/openrlhf", "/compat/slime", "/compat/nemo-gym/verify"}
    for url in urls:
        assert TrainerTerms.model_validate(dict(parse_qsl(urlsplit(url).query))).horizon_s == 30


def test_terms_are_listed() -> None:
    """With their defaults, and no others."""
    table = PAGE.partition("## Terms in the URL")[2].partition("\n## ")[0]
    listed = dict(re.findall(r"^\| `(\w+)` \| *`?([\w.-]*)`? *\|", table, re.MULTILINE))
    fields = TrainerTerms.model_fields
    assert list(listed) == list(fields)
    shown = {"seeds": ""} | {
        name: f"{field.default:g}" if isinstance(field.default, float) else str(field.default)
        for name, field in fields.items()
        if name != "seeds"
    }
    assert listed == shown


def test_verl_settings() -> None:
    """The keywords are terms, and the function is there."""
    given = dict(re.findall(r"reward_kwargs\.(\w+)=(\S+)", PAGE))
    assert VerlTerms.model_validate(given).url == "http://127.0.0.1:8000"
    for name in re.findall(r"custom_reward_function\.name=(\w+)", PAGE):
        assert name in reward_client.verl.__all__


async def test_trl(serve: Callable[..., Service]) -> None:
    """Rewards in order; what failed is None, as TRL wants it."""
    service = serve("scored", "failed", "invalid")
    completions = [[{"role": "assistant", "content": YES}]] * 3
    columns = {f"{key}": [value] * 3 for key, value in LABEL.items()}
    rewards = await names_of("trl")["traffic"](completions=completions, prompts=[], **columns)
    assert rewards == [0.5, None, -1.0]
    assert json.loads(service.requests[0].content)["items"][0] == LABEL | {"completion": YES}


@pytest.mark.parametrize("status", ["scored", "failed"])
def test_openrlhf(serve: Callable[..., Service], status: str) -> None:
    """As the executor calls it, with one row; a failure is raised."""
    service = serve(status)
    names = names_of("openrlhf")
    rows = ([f"<s>Extend?\n{YES}<|im_end|>"], ["Extend?\n"], [json.dumps(LABEL)])
    with names["CLIENT"]:
        if status == "failed":
            with pytest.raises(RuntimeError, match="worker_lost"):
                names["reward_func"](*rows)
        else:
            info = names["reward_func"](*rows)
            assert (info["rewards"], info["scores"]) == ([0.5], [0.5])
    sent = json.loads(service.requests[0].content)["items"][0]
    assert sent == LABEL | {"completion": f"{YES}<|im_end|>"}


@pytest.mark.parametrize("label", [LABEL, json.dumps(LABEL)])
async def test_slime(serve: Callable[..., Service], label: object) -> None:
    """As ``async_rm`` calls it; a failure is raised."""
    sample = SimpleNamespace(label=label, response=YES)
    serve("scored")
    assert await names_of("slime")["reward"](None, sample) == 0.5
    serve("failed")
    with pytest.raises(RuntimeError, match="worker_lost"):
        await names_of("slime")["reward"](None, sample)


class _Answer:
    def __init__(self, status: int, body: dict[str, Any]) -> None:
        self.status, self.body = status, body
        self.headers = {"Retry-After": "0"}


@pytest.mark.parametrize(("script", "is_error"), [([503, 504, 200], False), ([503] * 9, True)])
async def test_nemo_gym(monkeypatch: pytest.MonkeyPatch, script: list[int], is_error: bool) -> None:
    """Asks again while that helps, and then raises: no row gets a reward of its own making."""
    from pydantic import BaseModel

    class Verify(BaseModel):
        response: dict[str, Any]

    class Verified(Verify):
        reward: float

    class Server(BaseModel):
        config: Any

    sent: list[tuple[str, str, dict[str, Any]]] = []

    async def request(method: str, url: str, json: dict[str, Any]) -> _Answer:
        sent.append((method, url, json))
        status = script.pop(0)
        return _Answer(status, json | {"reward": 0.5} if status == 200 else {})

    async def raise_for_status(answer: _Answer) -> None:
        if answer.status != 200:
            raise RuntimeError(answer.status)

    async def get_response_json(answer: _Answer) -> dict[str, Any]:
        return answer.body

    base, utils = ModuleType("base_resources_server"), ModuleType("server_utils")
    base.__dict__.update(BaseResourcesServerConfig=BaseModel, SimpleResourcesServer=Server)
    base.__dict__.update(BaseVerifyRequest=Verify, BaseVerifyResponse=Verified)
    utils.__dict__.update(request=request, raise_for_status=raise_for_status)
    utils.__dict__.update(get_response_json=get_response_json)
    monkeypatch.setitem(sys.modules, "nemo_gym", ModuleType("nemo_gym"))
    monkeypatch.setitem(sys.modules, "nemo_gym.base_resources_server", base)
    monkeypatch.setitem(sys.modules, "nemo_gym.server_utils", utils)
    names = names_of("nemo_gym")
    config = yaml.safe_load(block("yaml", "nemo_gym"))["greenfork"]["resources_servers"]
    url = config["greenfork"]["reward_url"]
    server = names["GreenforkResourcesServer"](
        config=names["GreenforkConfig"](reward_url=url, tries=3)
    )
    body = names["GreenforkVerifyRequest"](response={"output": []}, verifier_metadata=LABEL)
    if is_error:
        with pytest.raises(RuntimeError, match="503"):
            await server.verify(body)
    else:
        verified = await server.verify(body)
        assert (verified.reward, verified.verifier_metadata) == (0.5, LABEL)
    assert [(method, to) for method, to, _ in sent] == [("POST", url)] * 3
