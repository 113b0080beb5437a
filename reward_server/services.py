"""What the routes work with, put together in one place, and how a route gets at it."""

import hmac
import time
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from reward_server.admission import Admission
from reward_server.canary import Canary
from reward_server.flights import Flights
from reward_server.outcomes import OutcomeExplorer
from reward_server.runner import RolloutRunner
from reward_server.scoring import Scorer
from reward_server.settings import ServerSettings
from reward_server.storage.database import Database
from reward_server.storage.ledger import Ledger
from reward_server.telemetry import Telemetry
from shared.errors import Unauthorized
from sim_workers.store import StateStore
from sim_workers.version import simulator

__all__ = ["Authorized", "Services", "ServicesDep", "services_of"]

_BEARER = HTTPBearer(auto_error=False, description="Needed where the service has an API key.")


@dataclass(frozen=True)
class Services:
    """Everything one gateway is made of, ready to be used."""

    settings: ServerSettings
    store: StateStore
    database: Database
    ledger: Ledger
    flights: Flights
    scorer: Scorer
    explorer: OutcomeExplorer
    admission: Admission
    canary: Canary
    telemetry: Telemetry
    started_s: float
    """When it was put together, on the monotonic clock."""

    def uptime_s(self) -> float:
        """Seconds since then."""
        return time.monotonic() - self.started_s

    @classmethod
    def of(
        cls, settings: ServerSettings, store: StateStore, runner: RolloutRunner, database: Database
    ) -> "Services":
        """Wires the parts together. The database and the runner are started elsewhere."""
        sumo = simulator()
        ledger = Ledger(database)
        flights = Flights(runner, ledger, f"{sumo.name} {sumo.version}")
        admission = Admission(settings.max_pending_items)
        return cls(
            settings=settings,
            store=store,
            database=database,
            ledger=ledger,
            flights=flights,
            scorer=Scorer(store, flights, sumo),
            explorer=OutcomeExplorer(store, flights, sumo),
            admission=admission,
            canary=Canary(store, runner, ledger, sumo),
            telemetry=Telemetry(runner, admission),
            started_s=time.monotonic(),
        )


def services_of(request: Request) -> Services:
    """The services of the app that answers the request."""
    services: Services = request.app.state.services
    return services


ServicesDep = Annotated[Services, Depends(services_of)]


def _authorize(
    services: ServicesDep,
    credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_BEARER)],
) -> None:
    key = services.settings.api_key
    if key is None:
        return
    given = credentials.credentials if credentials else ""
    if not hmac.compare_digest(given.encode(), key.get_secret_value().encode()):
        raise Unauthorized("send the API key as a bearer token: `Authorization: Bearer <key>`")


Authorized = Depends(_authorize)
"""The dependency of every route that only holders of the API key may use."""
