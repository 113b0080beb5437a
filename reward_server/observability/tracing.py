"""OpenTelemetry traces, if a collector is configured. Needs the extra ``telemetry``.

A request is a span that continues the caller's ``traceparent``; each rollout that it starts is a
span within it. Without a collector there are no spans, and tracing costs nothing.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING

from fastapi import FastAPI

from shared.errors import ConfigError

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

__all__ = ["Tracing", "export_to", "trace_requests"]

_PROBES = ("/healthz", "/readyz", "/metrics")


@dataclass(frozen=True)
class Tracing:
    """Where spans go."""

    provider: "TracerProvider"
    close: Callable[[], None]
    """Sends what is left; takes seconds if the collector does not answer."""


def export_to(endpoint: str) -> Tracing:
    """Sends spans, in batches in the background, to a collector that speaks OTLP over HTTP.

    Args:
        endpoint: The collector's URL, ``http://127.0.0.1:4318``.

    Raises:
        ConfigError: The extra is not installed.
    """
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as exc:
        raise ConfigError(
            "GREENFORK_SERVER_OTLP_ENDPOINT needs the extra `telemetry`: "
            "pip install 'greenfork[telemetry]'"
        ) from exc
    resource = {"service.name": "greenfork", "service.version": version("greenfork")}
    provider = TracerProvider(resource=Resource.create(resource))
    exporter = OTLPSpanExporter(f"{endpoint.rstrip('/')}/v1/traces", timeout=5)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    return Tracing(provider, provider.shutdown)


def trace_requests(app: FastAPI, provider: "TracerProvider") -> None:
    """Makes a span for every request except the probes."""
    from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware
    from opentelemetry.util.http import ExcludeList

    app.add_middleware(
        OpenTelemetryMiddleware,
        excluded_urls=ExcludeList([f"{path}$" for path in _PROBES]),
        tracer_provider=provider,
        exclude_spans=["receive", "send"],
    )
