"""Traces: one span per request and one per rollout, joined to the caller's own."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from reward_server.http.app import create_app
from reward_server.observability.tracing import Tracing
from reward_server.services import Services
from reward_server.settings import load_settings
from reward_server.storage.database import Database
from reward_server.storage.urls import sqlite_url
from tests.unit.reward_server.world import GREEN, FakeRunner, make_store

_TRACE = "0af7651916cd43dd8448eb211c80319c"
_YES = {"state_id": GREEN, "tls_id": "C", "decision": {"kind": "extend", "extend": True}}


@pytest.fixture
def spans() -> InMemorySpanExporter:
    """What was traced."""
    return InMemorySpanExporter()


@pytest.fixture
async def http(tmp_path: Path, spans: InMemorySpanExporter) -> AsyncIterator[httpx.AsyncClient]:
    """A gateway that is traced."""
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(spans))
    database = Database(sqlite_url(tmp_path / "ledger.sqlite"))
    await database.start()
    tracing = Tracing(provider, provider.shutdown)
    services = Services.of(load_settings({}), make_store(), FakeRunner(), database, tracing)
    transport = httpx.ASGITransport(create_app(services))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        yield client
    await services.single_flight.close()
    await database.close()


async def test_rollouts_stand_in_the_callers_trace(
    http: httpx.AsyncClient, spans: InMemorySpanExporter
) -> None:
    """A trainer's trace goes through the gateway to each rollout that it caused."""
    headers = {"traceparent": f"00-{_TRACE}-b7ad6b7169203331-01", "X-Request-ID": "step-7"}
    response = await http.post("/v1/score", json={"items": [_YES]}, headers=headers)
    assert response.status_code == 200
    traced = spans.get_finished_spans()
    rollouts = [span for span in traced if span.name == "rollout"]
    (request,) = [span for span in traced if span.name != "rollout"]
    assert {f"{span.context.trace_id:032x}" for span in traced if span.context} == {_TRACE}
    assert len(rollouts) == 2, "the decision and the program left alone"
    for span in rollouts:
        assert span.parent is not None
        assert request.context is not None
        assert span.parent.span_id == request.context.span_id
        assert span.attributes is not None
        assert span.attributes["greenfork.state_id"] == GREEN
        assert span.attributes["greenfork.request_id"] == "step-7"
        assert span.attributes["greenfork.simulated_s"] == 0.5


async def test_probes_are_not_traced(http: httpx.AsyncClient, spans: InMemorySpanExporter) -> None:
    """An orchestrator asks every few seconds; nobody wants to read of it."""
    await http.get("/healthz")
    await http.get("/metrics")
    assert spans.get_finished_spans() == ()
