"""A gateway whose callers keep to no rules, and raw connections to it."""

import asyncio
import itertools
import re
import socket
import struct
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from shared.dataset import Row
from shared.rewards import RewardSpec, reward_of

__all__ = ["HORIZONS_S", "SOON_S", "Line", "Victim", "is_idle"]

SOON_S = 40.0
HORIZONS_S = itertools.count(100)
"""Horizons that nobody has asked for before."""


@dataclass(frozen=True)
class Victim:
    """A gateway, and what it must answer."""

    url: str
    rows: tuple[Row, ...]

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.url.rpartition(":")[2])

    def items(self) -> list[dict[str, Any]]:
        """A yes and a no in every state."""
        return [
            {"state_id": r.state_id, "tls_id": r.tls_id, "decision": outcome.decision.model_dump()}
            for r in self.rows
            for outcome in r.outcomes or ()
        ]

    def rewards(self) -> list[float]:
        """The queue rewards that the builder computed of them."""
        spec = RewardSpec(name="queue", horizon_s=60)
        return [reward_of(spec, o.metrics, None) for row in self.rows for o in row.outcomes or ()]

    @asynccontextmanager
    async def called(self) -> AsyncIterator["Line"]:
        """A connection, which is closed in the end."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            yield Line(reader, writer)
        finally:
            writer.close()

    async def metrics(self) -> dict[str, float]:
        """The numbers of the metrics page that have no labels."""
        async with httpx.AsyncClient() as http:
            page = (await http.get(f"{self.url}/metrics", timeout=30)).text
        assert 'status="500"' not in page, "a caller's rudeness is no failure of the service"
        lines = [line.split() for line in page.splitlines() if not line.startswith("#")]
        return {name: float(value) for name, value in lines if "{" not in name}

    async def until(self, is_true: Callable[[Mapping[str, float]], bool]) -> None:
        """Returns when the metrics are as they should be."""
        end_s = time.monotonic() + SOON_S
        while not is_true(metrics := await self.metrics()):
            assert time.monotonic() < end_s, metrics
            await asyncio.sleep(0.05)

    async def is_well(self) -> None:
        """Nothing is left of whoever came; new work and known work are answered as ever."""
        await self.until(is_idle)
        async with httpx.AsyncClient(base_url=self.url, timeout=60) as http:
            new = {"reward": {"name": "queue", "horizon_s": next(HORIZONS_S)}}
            answer = await http.post("/v1/score", json={"items": self.items()[:1]} | new)
            (result,) = answer.json()["results"]
            assert (result["status"], result["cached"]) == ("scored", False)
            known = {"reward": {"name": "queue", "horizon_s": 60}}
            answer = await http.post("/v1/score", json={"items": self.items()} | known)
            assert [result["reward"] for result in answer.json()["results"]] == self.rewards()
        metrics = await self.metrics()
        assert metrics["greenfork_workers_lost_total"] == 0
        assert metrics["greenfork_pool_workers"] == 1


@dataclass(frozen=True)
class Line:
    """A raw connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def say(self, data: bytes) -> None:
        """Sends."""
        self.writer.write(data)
        await self.writer.drain()

    async def answer(self) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body of one answer."""
        async with asyncio.timeout(SOON_S):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode()
            status, *lines = head.splitlines()
            headers = dict(re.split(": ?", line.lower(), maxsplit=1) for line in lines if line)
            body = await self.reader.readexactly(int(headers["content-length"]))
        return int(status.split()[1]), headers, body

    async def hung_up(self) -> bytes:
        """What still came until the other side closed the connection."""
        async with asyncio.timeout(SOON_S):
            try:
                return await self.reader.read(-1)
            except ConnectionError:
                return b""

    async def is_cut_off(self, chunks: Iterable[bytes]) -> None:
        """Sends piece after piece, until the other side has had enough."""
        try:
            async with asyncio.timeout(SOON_S):
                for chunk in chunks:
                    await self.say(chunk)
                    await asyncio.sleep(0)
        except ConnectionError:
            return
        pytest.fail("all of it was taken")

    def vanish(self) -> None:
        """Ends the connection at once, as the death of a process does."""
        linger = struct.pack("ii", 1, 0)
        self.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.writer.transport.abort()


def is_idle(metrics: Mapping[str, float]) -> bool:
    """Whether nothing is left to do."""
    names = ("pending_items", "pool_busy", "pool_queued")
    return not any(metrics[f"greenfork_{name}"] for name in names)
