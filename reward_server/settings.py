"""The gateway's settings: what an operator can choose, and what is refused as unsafe."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import (
    Field,
    IPvAnyNetwork,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict
from sqlalchemy import URL

from reward_server.storage.urls import parse_database_url, sqlite_url
from shared.errors import ConfigError
from shared.validation import ip_of

__all__ = ["ServerSettings", "load_settings"]

_PREFIX = "GREENFORK_SERVER_"


class ServerSettings(BaseSettings):
    """Settings of the gateway: constructor arguments, then the environment, then defaults."""

    model_config = SettingsConfigDict(
        env_prefix=_PREFIX,
        frozen=True,
        extra="forbid",
        hide_input_in_errors=True,
        use_attribute_docstrings=True,
        env_ignore_empty=True,
    )

    host: str = "127.0.0.1"
    """Address to listen on. Any address other than loopback needs an API key, or
    ``allow_keyless``."""
    port: int = Field(default=8000, ge=0, le=65535)
    """Port to listen on; 0 picks a free one."""
    datasets: Annotated[tuple[Path, ...], NoDecode] = ()
    """Datasets, or folders of datasets, whose states are served, separated in the environment as in
    PATH. At least one is required."""
    data_dir: Path = Path("greenfork-data")
    """Folder of the ledger and of uploads; created if it is missing."""
    database_url: SecretStr | None = None
    """Database of the ledger, keys and jobs, ``sqlite:///FILE`` or
    ``postgresql://USER:PASSWORD@HOST/NAME``; unset, ``ledger.sqlite`` in the data directory."""
    workers: int | None = Field(default=None, ge=1)
    """Simulation workers; unset, one per CPU of the cluster."""
    ray_address: str | None = None
    """Address of an existing Ray cluster; unset, the gateway starts its own and stops it on
    exit."""
    max_body_bytes: int = Field(default=16 * 2**20, ge=1024)
    """Maximum size of a request body, bytes; a larger one is answered 413."""
    max_items: int = Field(default=2048, ge=1)
    """Maximum number of items per request; more are answered 422."""
    max_pending_items: int = Field(default=20_000, ge=1)
    """Maximum number of items of all requests in progress; a request that does not fit is answered
    503."""
    max_pending_bytes: int = Field(default=512 * 2**20, ge=1024)
    """Maximum size of the bodies of all requests in progress, bytes; a request that does not fit is
    answered 503."""
    body_timeout_s: float = Field(default=60.0, gt=0)
    """Seconds that the head of a request may take, and for which a caller may send nothing of an
    incomplete body or read nothing of a response."""
    min_body_rate: float = Field(default=1024.0, gt=0)
    """Minimum average rate, bytes per second, at which a body must arrive and a response be read
    after the first ``body_timeout_s``; slower callers are disconnected."""
    max_connections: int = Field(default=1024, ge=1)
    """Maximum number of connections, up to eight ninths of them from one address; more are answered
    503."""
    max_streamed: int = Field(default=16, ge=1)
    """Maximum number of uploads and jobs being received or inspected, up to half of them from one
    key or address; more are answered 503."""
    max_upload_bytes: int = Field(default=256 * 2**20, ge=1024)
    """Maximum size of an uploaded scenario or state as sent, bytes; a larger one is answered
    413."""
    hot_memory_mb: int = Field(default=256, ge=0)
    """Memory of the response cache, MiB; 0 disables it."""
    max_job_bytes: int = Field(default=2**30, ge=1024)
    """Maximum size of a bulk job's body, unpacked, bytes; a larger one is answered 413."""
    max_job_storage_mb: int = Field(default=4096, ge=1)
    """Database storage for one caller's jobs and results, including finished ones, MiB; a job that
    does not fit is answered 507."""
    max_upload_storage_mb: int = Field(default=8192, ge=1)
    """Storage for uploaded scenarios and states in the data directory, MiB, up to half of it for
    one caller; what does not fit is answered 507."""
    max_uploaded_states: int = Field(default=100_000, ge=1)
    """Maximum number of uploaded states, up to half of them from one caller; one more is answered
    507."""
    min_free_disk_mb: int = Field(default=256, ge=0)
    """Free space on the disk of the data directory that uploads and jobs leave for the ledger,
    MiB."""
    max_job_items: int = Field(default=1_000_000, ge=1)
    """Maximum number of items of a bulk job; more are answered 422."""
    max_jobs: int = Field(default=100, ge=1)
    """Maximum number of unfinished bulk jobs per caller; one more is answered 503."""
    job_retention_days: float = Field(default=30.0, gt=0)
    """Days for which finished bulk jobs and their results are kept."""
    rollout_timeout_s: float = Field(default=60.0, gt=0)
    """Seconds after which a single rollout is stopped and fails."""
    restore_check_every: int = Field(default=200, ge=0)
    """Out of this many rollouts in a process that was put back, one is also done by a fork and
    compared; 0: every rollout is a fork."""
    max_holders: int = Field(default=16, ge=1)
    """Maximum number of restored states that one worker keeps. It keeps up to four times as many
    checkpoints of runs besides."""
    max_holder_memory_mb: int = Field(default=4096, ge=64)
    """Maximum memory of the restored states that one worker keeps, MiB; checkpoints of runs take at
    most half of it."""
    max_episodes: int = Field(default=20_000, ge=1)
    """Maximum number of unfinished episodes per caller; one more is answered 429."""
    max_live_episodes: int = Field(default=64, ge=1)
    """Maximum number of episodes of which one worker keeps a process; others are replayed when they
    are stepped."""
    max_episode_memory_mb: int = Field(default=4096, ge=64)
    """Maximum memory of the processes of episodes that one worker keeps, MiB."""
    episode_park_after_s: float = Field(default=300.0, gt=0)
    """Seconds after which an episode that is not stepped has no process any more."""
    episode_retention_days: float = Field(default=30.0, gt=0)
    """Days for which finished episodes and their results are kept."""
    otlp_endpoint: str | None = None
    """URL of an OpenTelemetry collector that accepts traces over HTTP, ``http://127.0.0.1:4318``;
    unset, no traces are sent."""
    api_key: SecretStr | None = None
    """A key with every scope, for the operator and for setup. Unset, only keys made with
    ``greenfork keys`` are accepted; if there are none either, anyone who reaches the port has
    access."""
    allow_keyless: bool = False
    """Listen on any address without an API key, if access is restricted by other means."""

    allowed_hosts: Annotated[tuple[str, ...], NoDecode] = ("localhost", "127.0.0.1", "::1")
    """Host names under which a service without keys answers, and whose web pages may use it,
    separated by commas. Numeric addresses are always allowed. With keys, this applies to requests
    that need none."""
    trusted_proxies: Annotated[tuple[IPvAnyNetwork, ...], NoDecode] = ()
    """Addresses or networks of proxies, separated by commas: ``X-Forwarded-For``, by which callers
    are told apart, is trusted only from these."""

    @field_validator("allowed_hosts", "trusted_proxies", mode="before")
    @classmethod
    def _split_at_commas(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        return [part.strip() for part in value.split(",") if part.strip()]

    @field_validator("datasets", mode="before")
    @classmethod
    def _split_paths(cls, value: object) -> object:
        return [p for p in value.split(os.pathsep) if p] if isinstance(value, str) else value

    @field_validator("database_url")
    @classmethod
    def _refuse_unusable_database(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            try:
                parse_database_url(value.get_secret_value())
            except ConfigError as exc:
                raise ValueError(exc.message) from None
        return value

    @model_validator(mode="after")
    def _refuse_unsafe(self) -> Self:
        if self.api_key is not None and not self.api_key.get_secret_value():
            raise ValueError("api_key is empty")
        if self.max_pending_items < self.max_items:
            raise ValueError("max_pending_items must be at least max_items")
        if self.max_pending_bytes < self.max_body_bytes:
            raise ValueError("max_pending_bytes must be at least max_body_bytes")
        return self

    @property
    def is_sheltered(self) -> bool:
        """Whether strangers are kept out even if there is no key in the database."""
        return self.api_key is not None or self.allow_keyless or _is_loopback(self.host)

    @property
    def uploads_dir(self) -> Path:
        """Where uploaded scenarios and states are kept."""
        return self.data_dir / "uploads"

    def database(self) -> URL:
        """The database that is used."""
        if self.database_url is None:
            return sqlite_url(self.data_dir / "ledger.sqlite")
        return parse_database_url(self.database_url.get_secret_value())


def load_settings(given: Mapping[str, object]) -> ServerSettings:
    """Settings from ``given``, then the environment, then defaults.

    Args:
        given: Values by field name, as the command line has them; None leaves a field alone.

    Raises:
        ConfigError: A value is unusable.
    """
    try:
        chosen: dict[str, Any] = {name: v for name, v in given.items() if v is not None}
        return ServerSettings(**chosen)
    except ValidationError as exc:
        raise ConfigError("; ".join(_sentence(error) for error in exc.errors())) from exc


def _sentence(error: ErrorDetails) -> str:
    said = error["msg"].removeprefix("Value error, ")
    field = ".".join(str(part) for part in error["loc"])
    return f"{field} ({_PREFIX}{field.upper()}): {said}" if field else said


def _is_loopback(host: str) -> bool:
    address = ip_of(host)
    return host == "localhost" or (address is not None and address.is_loopback)
