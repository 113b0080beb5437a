"""No request of any content keeps the event loop for more than a tenth of a second of its own time.

What is watched is every single step of the loop, by the processor time of its thread: a machine
that is busy with other things does not count.
"""

import asyncio
import gc
import json
import random
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from tests.integration.reward_server.test_schema_fuzz import running
from tests.unit.reward_server.world import GREEN, GRID

BOUND_S = 0.1
KEY = {"Authorization": "Bearer right"}
JSON = KEY | {"Content-Type": "application/json"}
_ITEM = {"state_id": GREEN, "tls_id": "C", "decision": {"kind": "extend", "extend": True}}
_TEXT = {"state_id": GREEN, "tls_id": "C", "decision_kind": "extend"}
_PLAN = {"kind": "plan", "steps": [{"extend": True}] * 240}


@dataclass
class Watch:
    """How long the steps of the loop have taken."""

    longest_s: float = 0.0
    what: str = ""
    steps: int = 0
    threads: set[int] = field(default_factory=set)

    def note(self, took_s: float, handle: object) -> None:
        """Takes one step down."""
        self.steps += 1
        self.threads.add(threading.get_ident())
        if took_s > self.longest_s:
            self.longest_s, self.what = took_s, repr(handle)[:500]

    def check(self, url: str) -> None:
        """Asserts that no step was too long, and begins again.

        The step that has sent an answer is over when another request is answered.
        """
        assert httpx.get(f"{url}/healthz", timeout=60).status_code == 200
        longest_s, what, steps = self.longest_s, self.what, self.steps
        self.longest_s = 0.0
        assert steps > 0
        assert longest_s < BOUND_S, f"{longest_s * 1000:.0f} ms: {what}"


@pytest.fixture(scope="module")
def watch() -> Iterator[Watch]:
    """Watches all loops of this process."""
    found = Watch()
    run: Callable[[asyncio.Handle], None] = asyncio.Handle._run

    def watched(handle: asyncio.Handle) -> None:
        begin_s = time.thread_time()
        try:
            run(handle)
        finally:
            found.note(time.thread_time() - begin_s, handle)

    gc.collect()
    gc.freeze()  # as the gateway does; the tests have imported even more
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(asyncio.Handle, "_run", watched)
        yield found


@pytest.fixture(scope="module")
def url(watch: Watch, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A gateway whose loop is watched, on a fake runner."""
    with running(tmp_path_factory.mktemp("watched")) as base:
        httpx.post(f"{base}/v1/score", json={"items": [_ITEM]}, headers=KEY)  # compiles the schemas
        watch.longest_s = 0.0
        yield base


def _items(*items: dict[str, Any], **terms: object) -> bytes:
    return json.dumps({"items": items} | terms).encode()


def _keys(count: int) -> str:
    return ",".join(f'"k{number}":{number}' for number in range(count))


HOSTILE: dict[str, bytes] = {
    "zeros": b'{"items":[' + b",".join([b"0"] * 500_000) + b"]}",
    "few zeros": b'{"items":[' + b",".join([b"0"] * 15_000) + b"]}",
    "too many items": _items(*[_ITEM] * 30_000),
    "many items": _items(*[_TEXT | {"id": n, "completion": f"{n}"} for n in range(2000)]),
    "collapsed into brackets": _items(*[_TEXT | {"completion": "[" * 16_000}] * 300),
    "collapsed into keys": _items(*[_TEXT | {"completion": '{"a":' * 3200}] * 300),
    "unknown keys": b"{" + _keys(100_000).encode() + b"}",
    "unknown keys in an item": b'{"items":[{' + _keys(3900).encode() + b"}]}",
    "unknown terms": b'{"items":[],"reward":{"name":"sum","terms":{'
    + _keys(7800).encode()
    + b"}}}",
    "many seeds": _items(_ITEM, reward={"seeds": list(range(200_000))}),
    "bad seeds": _items(_ITEM, reward={"seeds": ["x"] * 7000}),
    "deep": b'{"items":' + b"[" * 4_000_000,
    "nested": b'{"items":[' + b"[[]]," * 800_000 + b"0]}",
    "large number": b'{"items":[{"id":' + b"9" * 4_000_000 + b"}]}",
    "escapes": b'{"items":[{"id":"' + b"\\u00e4" * 600_000 + b'"}]}',
    "plans": _items(
        *[{"state_id": GRID, "decisions": {f"s{s}": _PLAN for s in range(64)}}] * 3,
    ),
    "blanks": b" " * 15_000_000,
    "not text": b"\xff" * 3_000_000,
}


@pytest.mark.parametrize("body", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize("path", ["/v1/score", "/v1/jobs"])
def test_hostile_bodies(url: str, watch: Watch, path: str, body: bytes) -> None:
    """Each is answered, and others meanwhile."""
    with httpx.Client(base_url=url, headers=JSON, timeout=120) as http:
        answer = http.post(path, content=body)
    assert answer.status_code in (200, 202, 400, 404, 422), answer.text[:300]
    assert len(answer.content) < 20_000_000
    watch.check(url)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/compat/openrlhf", b'{"query":[' + b",".join([b"0"] * 400_000) + b"]}"),
        (
            "/compat/openrlhf",
            json.dumps({n: ["{}"] * 30_000 for n in ("query", "prompts", "labels")}),
        ),
        ("/compat/slime", b'{"response":"x","label":{' + _keys(100_000).encode() + b"}}"),
        ("/compat/slime", json.dumps({"response": "x", "label": "{" + _keys(100_000) + "}"})),
        ("/compat/nemo-gym/verify", b'{"response":{"output":[' + b"{}," * 300_000 + b"0]}}"),
        ("/compat/nemo-gym/verify", b'{"response":{"output":[]},' + _keys(100_000).encode() + b"}"),
    ],
)
def test_other_protocols(url: str, watch: Watch, path: str, body: bytes | str) -> None:
    """They have bodies of their own."""
    answer = httpx.post(f"{url}{path}", content=body, headers=JSON, timeout=120)
    assert answer.status_code == 422, answer.text[:300]
    watch.check(url)


@pytest.mark.parametrize(
    "said",
    [
        b"GET /v1/info HTTP/1.1\r\n" + b"a:\r\n" * 60_000,
        b"GET /v1/info HTTP/1.1\r\n" + b"Host: x\r\n" * 200 + b"\r\n",
        b"GET /healthz HTTP/1.1\r\n\r\n" * 30_000,
        b"GET /v1/states?" + b"a&" * 30_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /" + b"%2f" * 20_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST /v1/score HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer right\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * 200_000,
        b"\x00" * 1_000_000,
    ],
    ids=["lines", "hosts", "requests", "parameters", "path", "chunks", "zeros"],
)
def test_hostile_connections(url: str, watch: Watch, said: bytes) -> None:
    """What is no body, and what one read of a connection may bring."""
    host, port = url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), 30) as line:
        line.settimeout(30)
        try:
            line.sendall(said)
            line.shutdown(socket.SHUT_WR)
            while line.recv(65536):
                pass
        except OSError:  # it was refused before it was read
            pass
    watch.check(url)


def _random_json(dice: random.Random, left: list[int]) -> str:
    """JSON, or nearly, out of the words that the service knows."""
    left[0] -= 1
    kind = dice.randrange(9) if left[0] > 0 else 5
    words = [
        "items",
        "state_id",
        "tls_id",
        "decision",
        "decisions",
        "kind",
        "reward",
        "seeds",
        "id",
    ]
    if kind < 3:
        size = dice.choice([1, 3, 50, 3000])
        inner = _random_json(dice, left)
        return "[" + ",".join([inner] * min(size, 1 + 1_000_000 // len(inner))) + "]"
    if kind < 5:
        pairs = [
            f'"{dice.choice(words)}":{_random_json(dice, left)}' for _ in range(dice.choice([1, 4]))
        ]
        return "{" + ",".join(pairs) + "}"
    return dice.choice(
        ["0", '"x"', "null", "1e999", "-1", "NaN", '"' + "[" * 5000 + '"', f'"{GREEN}"']
    )


@pytest.mark.parametrize("seed", range(12))
def test_random_bodies(url: str, watch: Watch, seed: int) -> None:
    """Grown by repetition up to the largest body."""
    dice = random.Random(seed)
    with httpx.Client(base_url=url, headers=JSON, timeout=120) as http:
        for _ in range(6):
            text = _random_json(dice, [40])
            body = f'{{"items":{text},"reward":{text if len(text) < 1000 else 0}}}'[:4_000_000]
            answer = http.post("/v1/score", content=body.encode())
            assert answer.status_code in (400, 404, 422), answer.text[:300]
    watch.check(url)


def test_watch_sees_what_holds_the_loop(
    url: str, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If heavy bodies were read on the loop, these tests would say so."""
    monkeypatch.setattr("reward_server.http.reading.reader.is_light", lambda body: True)
    httpx.post(f"{url}/v1/score", content=HOSTILE["too many items"], headers=JSON, timeout=120)
    with pytest.raises(AssertionError, match=" ms: "):
        watch.check(url)
