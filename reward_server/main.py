"""The gateway's life cycle: starts everything, serves, and closes everything in reverse order."""

import asyncio
import gc
import os
import resource
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, closing, contextmanager, suppress
from dataclasses import asdict, fields
from functools import partial
from pathlib import Path
from types import FrameType

import structlog
import uvicorn

from reward_server.auth.exposure import refuse_exposure
from reward_server.domains.base import ProblemDomain
from reward_server.domains.registry import domain_kinds, open_domains, parted
from reward_server.http.addresses import Addresses
from reward_server.http.app import create_app
from reward_server.http.connections import (
    WEB_SOCKETS,
    Lines,
    connections_of,
    set_tcp_user_timeout,
)
from reward_server.observability.tracing import export_to
from reward_server.services import Services
from reward_server.settings import ServerSettings
from reward_server.storage.database import Database
from shared.errors import ConfigError, NotReady
from shared.files import os_errors
from sim_workers.engine.custom.installed import InstalledMetric, installed_metrics
from sim_workers.engine.custom.trial import refuse_unloadable
from sim_workers.pool.pool import PoolSettings, RolloutPool
from sim_workers.sandbox.confinement import probe
from sim_workers.states.store import StateStore
from sim_workers.uploads.uploaded_states import UploadedStates

__all__ = ["serve"]

_LOG = structlog.get_logger(__name__)
_GRACE_S = 10
_OTHER_DESCRIPTORS = 1024
_KEYS_LOST = (
    "all requests are refused; restore the database, or create a key with `greenfork keys create`"
)
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


async def serve(settings: ServerSettings, announce: Callable[[str], None]) -> None:
    """Serves until SIGINT or SIGTERM, and leaves nothing running.

    Args:
        settings: What to serve, and how.
        announce: Called with the address of the service, and when the first state was scored.

    Raises:
        ConfigError: No dataset is given, the port is taken, Ray does not answer, or strangers could
            reach a service without a key.
        DatasetError: A folder holds no dataset.
    """
    if not settings.datasets:
        raise ConfigError(
            "no dataset to serve: pass --dataset DIR, or set GREENFORK_SERVER_DATASETS"
        )
    await refuse_exposure(settings)
    await asyncio.to_thread(_keep_to_itself, settings.data_dir)
    uploaded = UploadedStates(settings.uploads_dir)
    kinds = domain_kinds()
    folders = parted(settings.datasets, kinds)
    domains = await asyncio.to_thread(open_domains, folders, kinds, settings.data_dir)
    metrics = await asyncio.to_thread(_metrics)
    store = await asyncio.to_thread(StateStore.open, folders["traffic"], uploaded.fresh)
    with closing(_listen(settings.host, settings.port)) as listener:
        await _Gateway(settings, store, domains, metrics, announce).run(listener)


def _metrics() -> tuple[InstalledMetric, ...]:
    """Users' own metrics, all of which can be loaded.

    Raises:
        ConfigError: One cannot.
    """
    metrics = installed_metrics()
    refuse_unloadable(metrics)
    for metric in metrics:
        _LOG.info("metric_added", metric=metric.name, by=metric.package, digest=metric.digest[:12])
    return metrics


class _Gateway:
    """One gateway, from start to end."""

    def __init__(
        self,
        settings: ServerSettings,
        store: StateStore,
        domains: tuple[ProblemDomain, ...],
        metrics: tuple[InstalledMetric, ...],
        announce: Callable[[str], None],
    ) -> None:
        self._settings = settings
        self._store = store
        self._domains = domains
        self._metrics = metrics
        self._announce = announce
        self._signals = _Signals()

    async def run(self, listener: socket.socket) -> None:
        """Starts the parts, serves until a signal arrives, and closes the parts."""
        with self._signals.obeyed():
            await self._run(listener)

    async def _run(self, listener: socket.socket) -> None:
        async with AsyncExitStack() as parts:
            database = Database(self._settings.database())
            await database.start()
            parts.push_async_callback(database.close)
            pool = RolloutPool(self._store, _pool_settings(self._settings))
            parts.push_async_callback(pool.close)
            await _start(pool, self._settings)
            self._signals.take()
            endpoint = self._settings.otlp_endpoint
            tracing = None if endpoint is None else export_to(endpoint)
            if tracing is not None:
                parts.push_async_callback(asyncio.to_thread, tracing.close)
            services = Services.of(
                self._settings,
                self._store,
                pool,
                database,
                tracing,
                pool.episodes,
                self._domains,
                self._metrics,
            )
            parts.push_async_callback(services.ledger.close)
            parts.push_async_callback(services.single_flight.close)
            parts.push_async_callback(services.withdrawal.close)
            parts.push_async_callback(services.reader.close)
            if await services.authenticator.has_lost_keys():
                self._announce(f"this service had keys, and its database has none: {_KEYS_LOST}")
            await asyncio.to_thread(services.uploads.sweep)
            await asyncio.to_thread(_say_what_is_confined)
            await asyncio.to_thread(_say_how_rollouts_are_made, services)
            parts.push_async_callback(services.jobs.close)
            await services.jobs.start()
            parts.push_async_callback(services.episode_desk.close)
            services.episode_desk.start()
            _allow_descriptors(self._settings.max_connections)
            await self._serve(services, listener)

    async def _serve(self, services: Services, listener: socket.socket) -> None:
        addresses = Addresses(self._settings.trusted_proxies)
        lines = Lines(self._settings.max_connections, addresses)
        config = uvicorn.Config(
            create_app(services),
            http=connections_of(self._settings.body_timeout_s, self._settings.min_body_rate, lines),
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_graceful_shutdown=_GRACE_S,
            **WEB_SOCKETS,
        )
        gc.collect()
        gc.freeze()  # what was imported is not gone through again: that takes a tenth of a second
        self._signals.server = server = _Server(config, services.jobs.hang_up)
        set_tcp_user_timeout(listener, self._settings.body_timeout_s)
        self._announce(f"listening at {_url(listener)}, starting workers")
        greeting = asyncio.create_task(self._greet(services, listener))
        try:
            await server.serve(sockets=[listener])
        finally:
            greeting.cancel()

    async def _greet(self, services: Services, listener: socket.socket) -> None:
        """Announces when the first state was scored."""
        while True:
            try:
                await services.canary.check()
            except NotReady as exc:
                self._announce(f"not ready yet: {exc.message}")
                await asyncio.sleep(services.canary.remember_s)
            else:
                problems = sum(len(one.problems()) for one in self._domains)
                told = f"{len(self._store)} states" + (f", {problems} problems" if problems else "")
                self._announce(f"ready: {told} at {_url(listener)}")
                return


class _Server(uvicorn.Server):
    """uvicorn without its signal handlers, which would end the process before Ray.

    Args:
        config: uvicorn's configuration.
        hang_up: Called when the server begins to stop; ends answers that would go on for long.
    """

    def __init__(self, config: uvicorn.Config, hang_up: Callable[[], None]) -> None:
        super().__init__(config)
        self._hang_up = hang_up

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begins to stop."""
        self._hang_up()
        super().handle_exit(sig, frame)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Captures none."""
        yield


class _Signals:
    """Lets SIGINT and SIGTERM stop the gateway cleanly, even while it is starting."""

    def __init__(self) -> None:
        self.server: uvicorn.Server | None = None
        """What to stop; while there is none, the running task is cancelled instead."""
        self._task: asyncio.Task[None] | None = None

    @contextmanager
    def obeyed(self) -> Iterator[None]:
        """Handles the signals, and swallows the cancellation that one of them causes."""
        self.take()
        try:
            yield
        except asyncio.CancelledError:
            if self._task is None:
                raise
            self._task.uncancel()
        finally:
            for signum in _SIGNALS:
                asyncio.get_running_loop().remove_signal_handler(signum)

    def take(self) -> None:
        """Takes the signals over from whoever handles them now: Ray does once it has started."""
        loop = asyncio.get_running_loop()
        task = asyncio.current_task()
        for signum in _SIGNALS:
            loop.add_signal_handler(signum, partial(self._obey, signum, task))

    def _obey(self, signum: int, task: asyncio.Task[None] | None) -> None:
        if self.server is not None:
            self.server.handle_exit(signum, None)
        elif self._task is None and task is not None:
            self._task = task
            task.cancel()


def _allow_descriptors(connections: int) -> None:
    """Lets the process open as many files as there may be connections, plus some."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + _OTHER_DESCRIPTORS
    if soft != resource.RLIM_INFINITY and soft < wanted:
        most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def _keep_to_itself(data_dir: Path) -> None:
    """Restricts the data to the service's own user: both what exists and what will be written.

    Raises:
        ConfigError: The folder cannot be created.
    """
    os.umask(0o077)
    with os_errors(ConfigError, f"cannot create {data_dir}"):
        data_dir.mkdir(parents=True, exist_ok=True)
        with suppress(PermissionError):  # another user's folder is that user's business
            data_dir.chmod(0o700)
            for path in data_dir.glob("ledger.sqlite*"):
                path.chmod(0o600)


def _say_what_is_confined() -> None:
    """Logs which permissions simulations give up here, and warns about those they cannot."""
    active = probe()
    _LOG.info("simulations_confined", **asdict(active))
    if not active.network:
        _LOG.warning("simulations_share_the_network", see="docs/security.md")
    if not active.landlock:
        _LOG.warning("simulations_open_any_file", see="docs/security.md")
    if not active.seccomp:
        _LOG.warning("simulations_make_any_system_call", see="docs/security.md")


def _say_how_rollouts_are_made(services: Services) -> None:
    """Logs whether processes are put back here, or why not."""
    reason = services.why_forked()
    if reason is None:
        _LOG.info("rollouts_restored", check_every=services.settings.restore_check_every)
    else:
        _LOG.warning("rollouts_forked", reason=reason, see="docs/operations.md")


async def _start(pool: RolloutPool, settings: ServerSettings) -> None:
    try:
        await pool.start()
    except ConnectionError as exc:
        raise ConfigError(f"no Ray cluster answers at {settings.ray_address}: {exc}") from exc


def _pool_settings(settings: ServerSettings) -> PoolSettings:
    return PoolSettings(**{one.name: getattr(settings, one.name) for one in fields(PoolSettings)})


def _listen(host: str, port: int) -> socket.socket:
    """The listening socket, opened before anything slow is started.

    Raises:
        ConfigError: The address cannot be used.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio turns Nagle's delay (40 ms an answer) off only for sockets that name their protocol.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen()
    except OSError as exc:
        listener.close()
        raise ConfigError(f"cannot listen on {host}, port {port}: {exc.strerror or exc}") from exc
    return listener


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
