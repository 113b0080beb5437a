"""What the routes work with, put together in one place, and how a route gets at it."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Annotated

from fastapi import Depends, Request
from opentelemetry.trace import NoOpTracer

from reward_server.auth.authenticator import ApiKeyAuthenticator
from reward_server.auth.closure import Closure
from reward_server.auth.key_store import KeyStore
from reward_server.domains.base import ProblemDomain
from reward_server.domains.scoring import ProblemScoring
from reward_server.domains.traffic import TrafficDomain
from reward_server.episodes.desk import EpisodeDesk
from reward_server.episodes.origins import EpisodeOrigins
from reward_server.episodes.runner import EpisodeRunner, NoEpisodes
from reward_server.episodes.service import EpisodeService
from reward_server.episodes.states import EpisodeStates
from reward_server.http.reading.reader import BodyReader
from reward_server.jobs.service import BulkJobs
from reward_server.observability.canary import Canary
from reward_server.observability.metrics import Telemetry
from reward_server.observability.tracing import Tracing
from reward_server.page.networks import NetworkCache
from reward_server.scoring.admission import Admission
from reward_server.scoring.custom_metrics import CustomMetrics
from reward_server.scoring.new_states import NewStates
from reward_server.scoring.outcomes import OutcomeExplorer
from reward_server.scoring.playback import Playback
from reward_server.scoring.response_cache import ResponseCache
from reward_server.scoring.rollout_plan import outcome_key
from reward_server.scoring.scorer import Scorer
from reward_server.scoring.single_flight import RolloutRunner, SingleFlight
from reward_server.scoring.withdrawal import Withdrawal
from reward_server.settings import ServerSettings
from reward_server.storage.database import Database
from reward_server.storage.disk import Disk
from reward_server.storage.ledger import Ledger
from reward_server.uploads.quota import UploadLimits, UploadQuota
from reward_server.uploads.service import UploadService
from shared.wire.states import Simulator
from sim_workers.engine.custom.installed import InstalledMetric
from sim_workers.engine.messages import Rollout
from sim_workers.engine.restoring.probe import why_not
from sim_workers.engine.version import simulator
from sim_workers.states.store import StateStore

__all__ = ["Services", "ServicesDep", "services_of"]


@dataclass(frozen=True)
class Services:
    """Everything one gateway is made of, ready to be used."""

    settings: ServerSettings
    store: StateStore
    new_states: NewStates
    database: Database
    authenticator: ApiKeyAuthenticator
    uploads: UploadService
    ledger: Ledger
    single_flight: SingleFlight
    withdrawal: Withdrawal
    reader: BodyReader
    domains: tuple[ProblemDomain, ...]
    """Those beside traffic."""
    metrics: CustomMetrics
    scorer: Scorer
    jobs: BulkJobs
    explorer: OutcomeExplorer
    playback: Playback
    runner: RolloutRunner
    networks: NetworkCache
    episode_desk: EpisodeDesk
    admission: Admission
    canary: Canary
    telemetry: Telemetry
    tracing: Tracing | None
    started_s: float = field(default_factory=time.monotonic)
    """When it was put together, on the monotonic clock."""

    @property
    def episodes(self) -> EpisodeService:
        """Episodes, for routes and for whoever else is in this process."""
        return self.episode_desk.service

    def uptime_s(self) -> float:
        """Seconds since then."""
        return time.monotonic() - self.started_s

    def why_forked(self) -> str | None:
        """Why every rollout here is a fork; None if processes are put back."""
        is_wanted = self.settings.restore_check_every > 0
        return why_not() if is_wanted else "switched off: restore_check_every is 0"

    @classmethod
    def of(
        cls,
        settings: ServerSettings,
        store: StateStore,
        runner: RolloutRunner,
        database: Database,
        tracing: Tracing | None = None,
        episodes: EpisodeRunner | None = None,
        domains: tuple[ProblemDomain, ...] = (),
        metrics: Sequence[InstalledMetric] = (),
    ) -> "Services":
        """Wires the parts together. What must be started and closed is, elsewhere.

        Args:
            settings: What to serve, and how.
            store: The states.
            runner: Rolls out.
            database: Where everything is recorded.
            tracing: Where spans go; None: nowhere.
            episodes: Runs episodes; None: nobody does here.
            domains: What is served beside traffic.
            metrics: Users' own metrics of traffic.
        """
        base = _Foundation.of(settings, store, runner, database, tracing)
        flight, telemetry = base.single_flight, base.telemetry
        custom = CustomMetrics(metrics)
        scorer = base.scorer(domains, custom)
        return cls(
            settings=settings,
            store=store,
            new_states=base.new_states,
            database=database,
            authenticator=base.authenticator(),
            uploads=base.uploads(),
            ledger=base.ledger,
            single_flight=flight,
            withdrawal=base.withdrawal,
            reader=base.reader,
            domains=domains,
            metrics=custom,
            scorer=scorer,
            jobs=BulkJobs(settings, database, scorer, telemetry, base.reader, base.disk),
            explorer=OutcomeExplorer(store, flight, base.sumo, custom),
            playback=Playback(runner, flight, telemetry),
            runner=runner,
            networks=NetworkCache(store),
            episode_desk=base.desk(episodes or NoEpisodes()),
            admission=base.admission,
            canary=Canary(store, runner, base.ledger, base.sumo, domains),
            telemetry=telemetry,
            tracing=tracing,
        )


@dataclass(frozen=True, kw_only=True)
class _Foundation:
    """What several services share."""

    settings: ServerSettings
    store: StateStore
    database: Database
    sumo: Simulator
    ledger: Ledger
    admission: Admission
    hot: ResponseCache
    telemetry: Telemetry
    single_flight: SingleFlight
    withdrawal: Withdrawal
    reader: BodyReader
    disk: Disk
    quota: UploadQuota
    new_states: NewStates

    @classmethod
    def of(
        cls,
        settings: ServerSettings,
        store: StateStore,
        runner: RolloutRunner,
        database: Database,
        tracing: Tracing | None,
    ) -> "_Foundation":
        sumo = simulator()
        ledger = Ledger(database)
        admission = Admission(settings.max_pending_items)
        hot = ResponseCache(settings.hot_memory_mb * 2**20)
        telemetry = Telemetry(runner, admission, hot)
        tracer = tracing.provider.get_tracer("greenfork") if tracing else NoOpTracer()
        single_flight = SingleFlight(runner, ledger, f"{sumo.name} {sumo.version}", tracer=tracer)
        key_of = partial(_key_of, store, sumo.version)
        withdrawal = Withdrawal(single_flight, ledger, hot, key_of, settings.rollout_timeout_s)
        single_flight.observers += [telemetry.observe_rollout, withdrawal.heed]
        disk = Disk(settings.data_dir, settings.min_free_disk_mb << 20)
        quota = _quota(settings, disk)
        telemetry.registry.register(quota)
        return cls(
            settings=settings,
            store=store,
            database=database,
            sumo=sumo,
            ledger=ledger,
            admission=admission,
            hot=hot,
            telemetry=telemetry,
            single_flight=single_flight,
            withdrawal=withdrawal,
            reader=BodyReader(settings.max_items),
            disk=disk,
            quota=quota,
            new_states=NewStates(store),
        )

    def authenticator(self) -> ApiKeyAuthenticator:
        """Checks API keys."""
        settings = self.settings
        return ApiKeyAuthenticator(
            KeyStore(self.database), settings.api_key, Closure(settings.data_dir)
        )

    def uploads(self) -> UploadService:
        """Accepts scenarios and states."""
        return UploadService(self.settings.uploads_dir, self.store, self.quota)

    def scorer(self, domains: tuple[ProblemDomain, ...], custom: CustomMetrics) -> Scorer:
        """Scores traffic and the problems of these domains."""
        store, flight = self.store, self.single_flight
        traffic = TrafficDomain(store, self.new_states, flight, self.sumo, custom)
        others = {one.name: ProblemScoring(one, self.single_flight) for one in domains}
        return Scorer({"traffic": traffic, **others}, self.sumo, self.hot)

    def desk(self, runner: EpisodeRunner) -> EpisodeDesk:
        """Episodes, which share admission and telemetry with rollouts."""
        uploads = self.settings.uploads_dir
        origins = EpisodeOrigins(self.store, self.new_states, uploads)
        return EpisodeDesk.of(
            self.settings,
            self.database,
            origins,
            EpisodeStates(self.store, origins, uploads, self.quota),
            runner,
            self.admission,
            self.telemetry.registry,
            self.sumo,
        )


def _quota(settings: ServerSettings, disk: Disk) -> UploadQuota:
    room = UploadLimits(settings.max_upload_storage_mb << 20, settings.max_uploaded_states)
    return UploadQuota(settings.uploads_dir, room, disk)


def _key_of(store: StateStore, sumo_version: str, rollout: Rollout) -> str:
    return outcome_key(rollout, store.get(rollout.state_id), sumo_version)


def services_of(request: Request) -> Services:
    """The services of the app that answers the request."""
    services: Services = request.app.state.services
    return services


async def _services_of(request: Request) -> Services:
    # What is not async FastAPI sends to another thread, which takes longer than most answers do.
    return services_of(request)


ServicesDep = Annotated[Services, Depends(_services_of)]
