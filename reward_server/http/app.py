"""The ASGI application, assembled from routes and services."""

from importlib.metadata import version
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel

from reward_server.auth.middleware import AuthMiddleware
from reward_server.auth.origins import Origins
from reward_server.domains import routes as problems
from reward_server.http.addresses import Addresses
from reward_server.http.body_limit import BodyLimit, BodyLimits
from reward_server.http.episode_examples import EPISODE_RESPONSES
from reward_server.http.openenv import routes as openenv
from reward_server.http.problems import install_handlers
from reward_server.http.request_scope import RequestScope
from reward_server.http.routes import (
    compat,
    docs,
    episodes,
    health,
    info,
    jobs,
    metrics,
    outcomes,
    score,
    states,
    uploads,
)
from reward_server.http.routes.examples import RESPONSES
from reward_server.observability.tracing import trace_requests
from reward_server.page import assets, episode_steps, episode_trace, geometry, prompts, service
from reward_server.scoring.admission import Shares
from reward_server.services import Services
from reward_server.settings import ServerSettings
from shared.wire.problems import Problem
from shared.wire.scoring import ScoreRequest

__all__ = ["create_app"]

_DESCRIPTION = """\
Exact rewards for traffic-signal decisions: the simulation is forked at the moment of the decision,
and the queues are measured. The same state and decision give the same number to the last bit.

Every 4xx and 5xx response is a problem document (RFC 9457) with a stable `code`.
"""


class _App(FastAPI):
    """FastAPI with the problem documents in its OpenAPI document."""

    def openapi(self) -> dict[str, Any]:
        if self.openapi_schema is None:
            schema = get_openapi(
                title=self.title,
                version=self.version,
                description=self.description,
                routes=self.routes,
            )
            schema["components"]["schemas"] |= _schemas(
                Problem, ScoreRequest, *compat.BODIES, *episodes.BODIES
            )
            for path, example in (RESPONSES | EPISODE_RESPONSES).items():
                operation = next(iter(schema["paths"][path].values()))
                # Not through the routes' `responses`: FastAPI drops every null from those.
                operation["responses"]["200"]["content"]["application/json"]["example"] = example
            self.openapi_schema = schema
        return self.openapi_schema


def _body_limits(settings: ServerSettings) -> BodyLimits:
    return BodyLimits(
        settings.max_body_bytes,
        settings.max_pending_bytes,
        settings.body_timeout_s,
        settings.min_body_rate,
        streamed=dict.fromkeys(uploads.PATHS, settings.max_upload_bytes)
        | {jobs.PATH: settings.max_job_bytes},
        max_streamed=settings.max_streamed,
    )


def _schemas(*models: type[BaseModel]) -> dict[str, Any]:
    """The schemas of models that no route declares to FastAPI, and of the models in them."""
    template = "#/components/schemas/{model}"
    found: dict[str, Any] = {}
    for model in models:
        schema = model.model_json_schema(ref_template=template)
        found |= schema.pop("$defs", {})
        found[model.__name__] = schema
    return found


def create_app(services: Services) -> FastAPI:
    """The gateway's application.

    Args:
        services: What it works with; already started, and closed by whoever started it.
    """
    app = _App(
        title="Greenfork reward service",
        version=version("greenfork"),
        description=_DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.services = services
    app.state.openenv_sessions = Shares(openenv.MAX_SESSIONS)
    addresses = Addresses(services.settings.trusted_proxies)
    app.add_middleware(BodyLimit, limits=_body_limits(services.settings), addresses=addresses)
    origins = Origins(services.settings.allowed_hosts)
    app.add_middleware(AuthMiddleware, authenticator=services.authenticator, origins=origins)
    app.add_middleware(RequestScope, telemetry=services.telemetry)
    if services.tracing is not None:
        trace_requests(app, services.tracing.provider)
    install_handlers(app, services.telemetry)
    app.router.routes[:0] = [score.direct_route, episodes.direct_route]
    for module in (
        score,
        jobs,
        episodes,
        openenv,
        compat,
        states,
        problems,
        uploads,
        outcomes,
        health,
        info,
        metrics,
        docs,
    ):
        app.include_router(module.router)
    for page in (geometry, prompts, service, episode_steps, episode_trace, assets):
        app.include_router(page.router)
    return app
