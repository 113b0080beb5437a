"""The OpenAPI document against the service: whatever is sent, what comes back is documented.

The runner makes its numbers up and uploads are refused unread; everything else is real, HTTP too.
"""

import asyncio
import json
import random
import socket
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import schemathesis
import uvicorn
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import from_schema
from schemathesis.engine.events import FatalError, NonFatalError, ScenarioFinished
from schemathesis.engine.recorder import ScenarioRecorder

from reward_server.http.app import create_app
from reward_server.http.connections import (
    WEB_SOCKETS,
    CallerConnection,
    Lines,
    connections_of,
)
from reward_server.services import Services
from reward_server.settings import load_settings
from reward_server.storage.database import Database
from reward_server.storage.urls import sqlite_url
from shared.errors import InvalidRequest
from sim_workers.uploads.inspector import IntakeAnswer, IntakeRequest
from tests.unit.reward_server.world import GREEN, FakeRunner, make_store

KEY = {"Authorization": "Bearer right"}
CONFIG = {
    "seed": 1,
    "headers": KEY,
    "request-timeout": 30,
    "continue-on-failure": True,
    "generation": {"max-examples": 4, "deterministic": True, "database": "none"},
    "phases": {"stateful": {"enabled": False}},
    "checks": {
        # What a rule of the domain forbids, no schema can say: `extend` at a yellow, two decisions.
        "positive_data_acceptance": {"enabled": False},
        "not_a_server_error": {"expected-statuses": ["2xx", "4xx", "503", "504"]},
    },
}
SITUATION = {"state_id": GREEN, "tls_id": "C", "decision_kind": "extend"}
DECISION = {"kind": "extend", "extend": True, "extend_s": 5}
SEEDED = {"name": "sum", "terms": {"queue": 1.0}, "horizon_s": 60, "seeds": [1]}
COMPLETION = '{"extend": "yes"}'
ITEMS: list[dict[str, Any]] = [
    {"id": "a", "group_id": 1, "state_id": GREEN, "tls_id": "C", "decision": DECISION},
    {"id": 7, "completion": COMPLETION, **SITUATION},
    {"state_id": GREEN, "decisions": {"C": {"kind": "phase", "next_phase": 2, "green_s": 9}}},
]
BODIES: dict[str, dict[str, Any]] = {
    "/v1/score": {"items": ITEMS, "reward": SEEDED, "timeout_s": 30, "series": True},
    "/v1/jobs": {"items": ITEMS, "reward": SEEDED, "series": True, "metrics": ["wait_s"]},
    "/compat/openrlhf": {"query": ["p" + COMPLETION], "prompts": ["p"], "labels": [SITUATION]},
    "/compat/slime": {"prompt": "p", "response": COMPLETION, "label": SITUATION},
    "/compat/nemo-gym/verify": {
        "responses_create_params": {"input": []},
        "response": {
            "output": [
                {
                    "type": "message",
                    "role": "assistant",
                    "content": [{"type": "output_text", "text": COMPLETION}],
                }
            ]
        },
        "verifier_metadata": SITUATION,
    },
}
"""By path, a body that is right."""
NASTY = (
    rb'"\ud800"',
    rb'"\udfff\ud800"',
    rb'"\u0000"',
    rb'"\u202e\ufeff\ufffe"',
    b'"\xff\xfe"',
    b'"\xed\xa0\x80"',
    b'"' + b"x" * 100_000 + b'"',
    b"1e400",
    b"-1e-400",
    b"9" * 5000,
    b"-" + b"9" * 400,
    b"NaN",
    b"-Infinity",
    b"null",
    b"[]",
    b"{}",
    b'{"kind":"extend","kind":"plan"}',
    b'{"":{"":{"":{}}}}',
    b"[" * 200_000,
    b'{"a":' * 50_000,
)
"""JSON, or nearly, that is rarely sent."""
_SOME = 3
"""Of what is nasty, so many in each place; which, differs from place to place."""
_CHOICE = random.Random(1)


@contextmanager
def running(folder: Path, patience_s: float = 60, lines: Lines | None = None) -> Iterator[str]:
    """A gateway on a fake runner, in a thread; gives its URL.

    Args:
        folder: For its data.
        patience_s: For the head of a request.
        lines: Counts connections.
    """
    http = connections_of(patience_s, lines=lines)
    started: list[str] = []
    is_ready = threading.Event()
    is_over = threading.Event()
    thread = threading.Thread(
        target=lambda: asyncio.run(_serve(folder, http, started, is_ready, is_over))
    )
    thread.start()
    try:
        assert is_ready.wait(30)
        yield started[0]
    finally:
        is_over.set()
        thread.join(30)


async def _serve(
    folder: Path,
    http: type[CallerConnection],
    started: list[str],
    is_ready: threading.Event,
    is_over: threading.Event,
) -> None:
    database = Database(sqlite_url(folder / "ledger.sqlite"))
    await database.start()
    settings = load_settings({"data_dir": folder / "data", "api_key": "right"})
    services = Services.of(settings, make_store(), FakeRunner(), database)
    await services.jobs.start()
    config = uvicorn.Config(
        create_app(services), http=http, lifespan="off", log_config=None, **WEB_SOCKETS
    )
    server = uvicorn.Server(config)
    # As the gateway listens: asyncio spares answers 40 ms where the socket names its protocol.
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        started.append(f"http://127.0.0.1:{listener.getsockname()[1]}")
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        is_ready.set()  # it listens: who comes before it accepts waits
        await asyncio.to_thread(is_over.wait)
        services.jobs.hang_up()
        server.should_exit = True
        await serving
    await services.jobs.close()
    await services.reader.close()
    await services.single_flight.close()
    await services.ledger.close()
    await database.close()


schemathesis.serializer.alias("application/x-ndjson", "text/plain")


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A gateway."""
    with running(tmp_path_factory.mktemp("spoiled")) as base:
        yield base


@pytest.fixture
def fresh_url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A gateway that knows of one job, and refuses every upload after it was received."""

    async def refuse(request: IntakeRequest, timeout_s: float) -> IntakeAnswer:
        raise InvalidRequest("no", "bad_archive")

    monkeypatch.setattr("reward_server.uploads.service.look_at", refuse)
    with running(tmp_path) as base, httpx.Client(base_url=base, headers=KEY) as http:
        job = http.post("/v1/jobs", json=BODIES["/v1/jobs"]).headers["location"]
        http.get(f"{job}/results", params={"follow": True}).raise_for_status()
        yield base


def test_answers_are_as_documented(fresh_url: str) -> None:
    """No status, content type or body that the document does not know; no 500."""
    config = SchemathesisConfig.from_dict(CONFIG)
    documented = schemathesis.openapi.from_url(f"{fresh_url}/openapi.json", config=config)
    schema = documented.exclude(path="/v1/service/events")  # which goes on for an hour
    asked: Counter[str] = Counter()
    wrong: list[str] = []
    for event in from_schema(schema).execute():
        match event:
            case ScenarioFinished():
                asked[event.recorder.label] += len(event.recorder.cases)
                wrong += _failures(event.recorder)
            case NonFatalError() | FatalError():
                wrong.append(f"{event}")
    assert not wrong, "\n\n".join(wrong)
    assert len(asked) == len(list(schema.get_all_operations()))
    assert min(asked.values()) > 1, asked


def _failures(recorder: ScenarioRecorder) -> Iterator[str]:
    for checks in recorder.checks.values():
        for check in checks:
            if check.failure_info is not None:
                info = check.failure_info
                yield f"{recorder.label}: {info.failure}\n{info.code_sample}"


def _some() -> list[bytes]:
    return _CHOICE.sample(NASTY, _SOME)


def _spoiled(value: Any) -> Iterator[bytes]:  # noqa: ANN401  any JSON
    """The JSON of a value, each time with one of its parts, or its names, replaced.

    Each is replaced by another choice of what is nasty.
    """
    if isinstance(value, dict):
        for name, part in value.items():
            rest = b"".join(b",%s:%s" % (_json(n), _json(p)) for n, p in value.items() if n != name)
            yield from (b"{%s:%s%s}" % (_json(name), one, rest) for one in _spoiled(part))
            yield from (
                b"{%s:%s%s}" % (one, _json(part), rest) for one in _some() if one[:1] == b'"'
            )
            yield b"{%s:%s,%s:%s%s}" % (_json(name), _json(part), _json(name), _json(part), rest)
    elif isinstance(value, list):
        for position, part in enumerate(value):
            before = b"".join(_json(one) + b"," for one in value[:position])
            after = b"".join(b"," + _json(one) for one in value[position + 1 :])
            yield from (b"[%s%s%s]" % (before, one, after) for one in _spoiled(part))
    yield from _some()


def _json(value: Any) -> bytes:  # noqa: ANN401  any JSON
    return json.dumps(value).encode()


@pytest.mark.parametrize("path", BODIES)
def test_spoiled_bodies_are_refused_in_good_order(url: str, path: str) -> None:
    """Whatever stands wherever in a request, the answer is documented and is JSON."""
    with httpx.Client(base_url=url, headers=KEY, timeout=60) as http:
        known = http.get("/openapi.json").json()["paths"][path]["post"]["responses"]
        right = _post(http, path, _json(BODIES[path]))
        assert right.status_code in (200, 202), right.text
        for body in (*_spoiled(BODIES[path]), b"", b"\xef\xbb\xbf{}", b"\x1f\x8b\x08"):
            answer = _post(http, path, body)
            assert answer.status_code != 500, body[:200]
            assert str(answer.status_code) in known, (answer.text, body[:200])
            _check_json(answer)


def _post(http: httpx.Client, path: str, body: bytes) -> httpx.Response:
    return http.post(path, content=body, headers={"Content-Type": "application/json"})


def _check_json(answer: httpx.Response) -> None:
    """JSON as everybody reads it: UTF-8, without NaN or infinity."""
    is_problem = answer.status_code >= 400
    wanted = "application/problem+json" if is_problem else "application/json"
    assert answer.headers["content-type"] == wanted

    def refuse(constant: str) -> None:
        pytest.fail(f"{constant} in {answer.text}")

    json.loads(answer.content.decode(), parse_constant=refuse)


@pytest.mark.parametrize(
    "content_type",
    [
        "",
        "text/plain",
        "application/json; charset=utf-16",
        "application/xml",
        "multipart/form-data; boundary=x",
        "application/x-ndjson; charset=latin-1",
        "application/vnd.apache.parquet",
        "json",
        "a" * 10_000,
    ],
)
def test_content_types(url: str, content_type: str) -> None:
    """What a body is said to be changes whether it is taken, and breaks nothing."""
    with httpx.Client(base_url=url, headers=KEY, timeout=60) as http:
        for path, body in BODIES.items():
            for content in (_json(body), _json(body).decode().encode("utf-16"), b"\xff\n\xfe"):
                headers = {"Content-Type": content_type, "Content-Encoding": "gzip"}
                answer = http.post(path, content=content, headers=headers)
                assert answer.status_code < 500, answer.text
                _check_json(answer)


def test_spoiled_lines(url: str) -> None:
    """A line of a job's file that is no item refuses the job."""
    headers = {"Content-Type": "application/x-ndjson"}
    with httpx.Client(base_url=url, headers=KEY | headers, timeout=60) as http:
        for item in ITEMS:
            for line in _spoiled(item):
                answer = http.post("/v1/jobs", content=_json(item) + b"\n" + line)
                assert answer.status_code in (202, 400, 404, 422, 503), answer.text
                if answer.status_code == 202:
                    assert http.delete(answer.headers["location"]).status_code == 204
