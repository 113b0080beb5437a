"""A gateway on a fake runner and a real ledger in a temporary folder."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from reward_server.domains import ProblemDomain
from reward_server.http.app import create_app
from reward_server.services import Services
from reward_server.settings import load_settings
from reward_server.storage.database import Database
from reward_server.storage.ledger import Ledger
from reward_server.storage.urls import sqlite_url
from sim_workers.engine.custom.installed import InstalledMetric
from sim_workers.states.store import StateStore
from tests.unit.reward_server.fake_episodes import FakeEpisodes
from tests.unit.reward_server.world import GREEN, FakeRunner, make_store

__all__ = ["Gateway"]


@dataclass(frozen=True)
class Gateway:
    """A gateway under test."""

    http: httpx.AsyncClient
    runner: FakeRunner
    ledger: Ledger
    services: Services
    episodes: FakeEpisodes

    async def score(self, *items: dict[str, Any], **terms: object) -> httpx.Response:
        """Posts items; a state and signal are filled in where an item names none."""
        filled = [{"state_id": GREEN, "tls_id": "C"} | item for item in items]
        return await self.http.post("/v1/score", json={"items": filled} | terms)

    async def scored(self, *items: dict[str, Any], **terms: object) -> dict[str, Any]:
        """The same where the answer is 200."""
        response = await self.score(*items, **terms)
        assert response.status_code == 200, response.text
        body: dict[str, Any] = response.json()
        return body


OpenGateway = Callable[..., Awaitable[Gateway]]


@pytest.fixture
async def open_gateway(tmp_path: Path) -> AsyncIterator[OpenGateway]:
    """Opens gateways, all on one ledger file, and closes them in the end."""
    opened: list[Gateway] = []

    async def open_one(
        store: StateStore | None = None,
        domains: tuple[ProblemDomain, ...] = (),
        metrics: tuple[InstalledMetric, ...] = (),
        **settings: object,
    ) -> Gateway:
        runner, episodes = FakeRunner(), FakeEpisodes()
        database = Database(sqlite_url(tmp_path / "ledger.sqlite"))
        await database.start()
        services = Services.of(
            load_settings({"data_dir": tmp_path / "data"} | settings),
            store if store is not None else make_store(),
            runner,
            database,
            episodes=episodes,
            domains=domains,
            metrics=metrics,
        )
        transport = httpx.ASGITransport(create_app(services))
        http = httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1")
        opened.append(Gateway(http, runner, services.ledger, services, episodes))
        return opened[-1]

    yield open_one
    for gateway in opened:
        await gateway.http.aclose()
        await gateway.services.episode_desk.close()
        await gateway.services.single_flight.close()
        await gateway.ledger.close()
        await gateway.services.database.close()


@pytest.fixture
async def gateway(open_gateway: OpenGateway) -> Gateway:
    """A gateway with default settings."""
    return await open_gateway()
