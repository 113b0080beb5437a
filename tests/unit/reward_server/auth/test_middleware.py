"""Authentication: who is let in, when, and what is not even read."""

import base64
import dataclasses
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from fastapi import FastAPI, Request
from pydantic import SecretStr
from starlette.types import Message, Scope

from reward_server.auth.authenticator import ApiKeyAuthenticator
from reward_server.auth.callers import SCOPES, caller_of
from reward_server.auth.keys import ApiKey, digest_of, make_key
from reward_server.auth.middleware import OPEN_PATHS, AuthMiddleware, requires
from reward_server.auth.origins import Origins
from reward_server.http.problems import install_handlers
from reward_server.observability.metrics import Telemetry
from reward_server.scoring.admission import Admission
from reward_server.scoring.response_cache import ResponseCache
from shared.errors import LedgerError
from tests.unit.reward_server.world import Clock, FakeRunner

ANN = make_key()
OPERATOR = "a word that the operator chose"


@dataclass
class Records:
    """Keys in memory, which count what they are asked."""

    keys: dict[str, ApiKey] = field(default_factory=dict)
    asked: Counter[str] = field(default_factory=Counter)
    is_down: bool = False

    async def find(self, key_id: str) -> ApiKey | None:
        """The key of that id."""
        self._note(key_id)
        return self.keys.get(key_id)

    async def has_any(self) -> bool:
        """Whether there is one."""
        self._note("any")
        return bool(self.keys)

    def _note(self, question: str) -> None:
        self.asked[question] += 1
        if self.is_down:
            raise LedgerError("the database db failed: connection refused")


def ann(*scopes: str) -> ApiKey:
    """Ann's key."""
    held = frozenset(scope for scope in SCOPES if scope in scopes)
    return ApiKey(ANN.key_id, "ann", digest_of(ANN.secret), held, 2.0, created_at=0)


@pytest.fixture
def records() -> Records:
    """Ann may score."""
    return Records({ANN.key_id: ann("score")})


@pytest.fixture
def clock() -> Clock:
    """A clock of the test's own."""
    return Clock()


def open_door(records: Records, operator: str | None = None, **options: Any) -> httpx.AsyncClient:  # noqa: ANN401
    """A small service behind a gate."""
    app = FastAPI()
    install_handlers(app, Telemetry(FakeRunner(), Admission(1), ResponseCache(0)))

    @app.get("/who")
    def who(request: Request) -> list[str]:
        caller = caller_of(request)
        return [caller.name, *sorted(caller.scopes)]

    @app.put("/upload", dependencies=[requires("upload")])
    async def upload(request: Request) -> int:
        return len(await request.body())

    @app.put("/either", dependencies=[requires("upload", "score")])
    async def either() -> str:
        return "done"

    @app.get("/healthz")
    def healthz() -> str:
        return "alive"

    key = None if operator is None else SecretStr(operator)
    gate = AuthMiddleware(app, ApiKeyAuthenticator(records, key, **options), Origins(["door"]))
    return httpx.AsyncClient(transport=httpx.ASGITransport(gate), base_url="http://door")


def bearer(key: str) -> dict[str, str]:
    """The header that callers send."""
    return {"Authorization": f"Bearer {key}"}


async def test_holder_of_a_key_is_known(records: Records) -> None:
    """By name and scopes."""
    response = await open_door(records).get("/who", headers=bearer(ANN.secret))
    assert response.json() == ["ann", "score"]


async def test_operator_key_is_on_no_record(records: Records) -> None:
    """It has every scope, and opens while the database is down."""
    records.is_down = True
    response = await open_door(records, OPERATOR).get("/who", headers=bearer(OPERATOR))
    assert response.json() == ["operator", *sorted(SCOPES)]
    assert not records.asked


WRONG_HEADERS = [
    None,
    "",
    "Bearer",
    "Bearer ",
    f"Basic {ANN.secret}",
    f"Basic {base64.b64encode(ANN.secret.encode()).decode()}",
    f"Basic {base64.b64encode(f'{ANN.secret}:x'.encode()).decode()}",
    f"Basic {base64.b64encode(b'ann:').decode()}",
    ANN.secret,
    f"Bearer {ANN.secret[:-1]}",
    f"Bearer {ANN.secret}x",
    f"Bearer {ANN.secret[:-1]}{'a' if ANN.secret[-1] != 'a' else 'b'}",
    f"Bearer {make_key().secret}",
    f"Bearer gfk_{ANN.key_id}_{'x' * 43}",
    f"Bearer {digest_of(ANN.secret)}",
    f"Bearer {OPERATOR[:-1]}",
    f"Bearer {OPERATOR}.",
    f"Bearer {OPERATOR.upper()}",
    f"Bearer {'x' * 10_000}",
    "Bearer ké",
]


@pytest.mark.parametrize("header", WRONG_HEADERS, ids=range(len(WRONG_HEADERS)))
async def test_wrong_key_is_401(records: Records, header: str | None) -> None:
    """Prefixes, longer texts, other ids, digests: only the whole key opens."""
    headers = httpx.Headers({"Authorization": header} if header is not None else {}, "utf-8")
    response = await open_door(records, OPERATOR).get("/who", headers=headers)
    assert (response.status_code, response.json()["code"]) == (401, "unauthorized")
    assert response.headers["WWW-Authenticate"] == "Bearer"
    assert response.headers["Content-Type"] == "application/problem+json"
    assert ANN.secret not in response.text


async def test_key_may_stand_in_the_url(records: Records) -> None:
    """For programs that know a URL only: the key is the password, whatever the user is called."""
    response = await open_door(records).get("/who", auth=("x", ANN.secret))
    assert response.json() == ["ann", "score"]


async def test_comparison_is_that_of_hmac(
    records: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing but ``compare_digest`` decides, for a known id, an unknown one, and the operator."""
    seen: list[tuple[str, str]] = []

    def refuse(one: str, other: str) -> bool:
        seen.append((one, other))
        return False

    monkeypatch.setattr("hmac.compare_digest", refuse)
    for key in (OPERATOR, ANN.secret, make_key().secret):
        response = await open_door(records, OPERATOR).get("/who", headers=bearer(key))
        assert response.status_code == 401
    assert (digest_of(ANN.secret), digest_of(ANN.secret)) in seen
    assert [len(one) == len(other) == 64 for one, other in seen] == [True] * 5


async def test_two_authorizations_are_none(records: Records) -> None:
    """A proxy may have looked at the other one."""
    headers = [("Authorization", f"Bearer {ANN.secret}"), ("Authorization", "Bearer x")]
    assert (await open_door(records).get("/who", headers=headers)).status_code == 401


async def test_key_without_the_scope_is_403(records: Records) -> None:
    """The problem says which scope there should be."""
    door = open_door(records)
    response = await door.put("/upload", headers=bearer(ANN.secret))
    assert (response.status_code, response.json()["code"]) == (403, "forbidden")
    assert "upload" in response.json()["detail"]
    assert (await door.put("/either", headers=bearer(ANN.secret))).status_code == 200
    records.keys[ANN.key_id] = ann("upload")
    response = await open_door(records).put("/upload", headers=bearer(ANN.secret), content=b"abc")
    assert response.json() == 3


async def test_everybody_is_anyone_where_there_are_no_keys() -> None:
    """With every scope, whatever they send."""
    door = open_door(Records())
    for headers in ({}, bearer("anything"), bearer(ANN.secret)):
        assert (await door.get("/who", headers=headers)).json() == ["anyone", *sorted(SCOPES)]


async def test_first_key_closes_the_door(clock: Clock) -> None:
    """Within seconds, and for good: losing all keys does not open it again."""
    records = Records()
    door = open_door(records, clock=clock)
    assert (await door.get("/who")).status_code == 200
    records.keys[ANN.key_id] = ann("score")
    assert (await door.get("/who")).status_code == 200
    clock.now_s = 5
    assert (await door.get("/who")).status_code == 401
    records.keys.clear()
    clock.now_s = 60
    assert (await door.get("/who")).status_code == 401


async def test_revoked_key_is_refused_within_five_seconds(records: Records, clock: Clock) -> None:
    """What was looked up stands for so long, and no longer however often it is used."""
    door = open_door(records, clock=clock)
    for now_s, status in ((0, 200), (4.9, 200), (5, 401)):
        clock.now_s = now_s
        response = await door.get("/who", headers=bearer(ANN.secret))
        assert response.status_code == status
        records.keys.pop(ANN.key_id, None)
        records.keys["other"] = ann("score")
    assert records.asked[ANN.key_id] == 2


async def test_unknown_id_is_remembered_too(records: Records, clock: Clock) -> None:
    """Somebody who tries the same again and again asks the database once."""
    door, stranger = open_door(records, clock=clock), make_key()
    for _ in range(5):
        assert (await door.get("/who", headers=bearer(stranger.secret))).status_code == 401
    assert records.asked[stranger.key_id] == 1


async def test_remembered_look_up_does_not_open_to_another_secret(records: Records) -> None:
    """The secret is compared every time."""
    door = open_door(records)
    assert (await door.get("/who", headers=bearer(ANN.secret))).status_code == 200
    forged = f"gfk_{ANN.key_id}_{'y' * 43}"
    assert (await door.get("/who", headers=bearer(forged))).status_code == 401


async def test_memory_is_bounded(records: Records) -> None:
    """Somebody who tries many ids fills no memory, and does not make a valid key be forgotten."""
    door, strangers = open_door(records, max_remembered=3), [make_key() for _ in range(4)]
    for key in (ANN, *strangers, strangers[0], ANN):
        await door.get("/who", headers=bearer(key.secret))
    assert [records.asked[key.key_id] for key in strangers] == [2, 1, 1, 1]
    assert records.asked[ANN.key_id] == 1


async def test_valid_keys_are_not_all_remembered(records: Records) -> None:
    """The one that was used least recently is looked up again."""
    others = [make_key() for _ in range(3)]
    for key in others:
        records.keys[key.key_id] = dataclasses.replace(
            ann("score"), key_id=key.key_id, digest=digest_of(key.secret)
        )
    door = open_door(records, max_remembered=3)
    for key in (ANN, *others, ANN):
        assert (await door.get("/who", headers=bearer(key.secret))).status_code == 200
    assert records.asked[ANN.key_id] == 2


async def test_database_that_is_down_lets_nobody_in(records: Records, clock: Clock) -> None:
    """It is 503 with a time to wait, and works again afterwards: failures are not remembered."""
    door = open_door(records, clock=clock)
    records.is_down = True
    response = await door.get("/who", headers=bearer(ANN.secret))
    assert (response.status_code, response.json()["code"]) == (503, "ledger_unavailable")
    assert int(response.headers["Retry-After"]) >= 1
    assert (await door.get("/who")).status_code == 503
    records.is_down = False
    assert (await door.get("/who", headers=bearer(ANN.secret))).status_code == 200


async def test_body_is_not_read_before_the_key(records: Records) -> None:
    """A stranger can make nobody wait for, or parse, what it sends."""
    gate = AuthMiddleware(_unreachable, ApiKeyAuthenticator(records, None), Origins(["door"]))
    sent: list[Message] = []

    async def receive() -> Message:
        raise AssertionError("read")

    async def send(message: Message) -> None:
        sent.append(message)

    await gate(_put("/v1/states"), receive, send)
    assert sent[0]["status"] == 401


@pytest.mark.parametrize(
    "path",
    [
        "/healthz/",
        "//healthz",
        "/healthz/../who",
        "/Healthz",
        "/docs/oauth2-redirect",
        "/ui/../who",
        "/ui/a/b",
        "/uix",
        "",
    ],
)
async def test_only_the_open_paths_themselves_are_open(records: Records, path: str) -> None:
    """What looks like one is none."""
    gate = AuthMiddleware(_unreachable, ApiKeyAuthenticator(records, None), Origins(["door"]))
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    await gate(_put(path), _nothing, send)
    assert sent[0]["status"] == 401


async def test_probes_need_no_key(records: Records) -> None:
    """Not even while the database is down."""
    records.is_down = True
    assert (await open_door(records).get("/healthz")).status_code == 200
    assert {"/healthz", "/readyz", "/metrics"} < OPEN_PATHS


async def test_route_without_a_gate_answers_nothing() -> None:
    """A mistake in putting the app together must not let everybody in."""
    app = FastAPI()

    @app.get("/", dependencies=[requires("score")])
    def root() -> str:
        return "open"

    door = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://door")
    with pytest.raises(KeyError):
        await door.get("/")


def _put(path: str) -> Scope:
    return {"type": "http", "method": "PUT", "path": path, "headers": [], "query_string": b""}


async def _unreachable(*_: object) -> None:
    raise AssertionError("let in")


async def _nothing() -> Message:
    return {"type": "http.disconnect"}
