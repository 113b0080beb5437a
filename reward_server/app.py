"""The ASGI application, put together out of routes and services."""

from importlib.metadata import version
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from reward_server.body_limit import BodyLimit
from reward_server.problems import install_handlers
from reward_server.requests import RequestScope
from reward_server.routes import health, info, metrics, outcomes, score, states
from reward_server.routes.examples import RESPONSES
from reward_server.services import Services
from shared.problems import Problem

__all__ = ["create_app"]

_DESCRIPTION = """\
Exact rewards for traffic-signal decisions: the simulation is forked at the moment of the decision,
and the queues are watched. The same state and decision give the same number to the last bit.

Every 4xx and 5xx answer is a problem document (RFC 9457) with a stable `code`.
"""


class _App(FastAPI):
    """FastAPI whose OpenAPI document knows the problem documents."""

    def openapi(self) -> dict[str, Any]:
        if self.openapi_schema is None:
            schema = get_openapi(
                title=self.title,
                version=self.version,
                description=self.description,
                routes=self.routes,
            )
            template = "#/components/schemas/{model}"
            problem = Problem.model_json_schema(ref_template=template)
            schema["components"]["schemas"]["Problem"] = problem
            for path, example in RESPONSES.items():
                (operation,) = schema["paths"][path].values()
                # Not through the routes' `responses`: FastAPI drops every null from those.
                operation["responses"]["200"]["content"]["application/json"]["example"] = example
            self.openapi_schema = schema
        return self.openapi_schema


def create_app(services: Services) -> FastAPI:
    """The gateway's application.

    Args:
        services: What it works with; already started, and closed by whoever started it.
    """
    limit = services.settings.max_body_bytes
    app = _App(
        title="Greenfork reward service",
        version=version("greenfork"),
        description=_DESCRIPTION,
    )
    app.state.services = services
    app.add_middleware(BodyLimit, max_body_bytes=limit)
    app.add_middleware(RequestScope, telemetry=services.telemetry)
    install_handlers(app, limit)
    for module in (score, states, outcomes, health, info, metrics):
        app.include_router(module.router)
    return app
