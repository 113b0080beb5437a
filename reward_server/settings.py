"""The gateway's settings: what an operator can choose, and what is refused as unsafe."""

import os
from collections.abc import Mapping
from ipaddress import ip_address
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
from pydantic_settings import NoDecode, SettingsConfigDict
from sqlalchemy import URL

from reward_server.storage.urls import parse_database_url, sqlite_url
from shared.errors import ConfigError
from shared.settings import ProcessSettings

__all__ = ["ServerSettings", "load_settings"]

_PREFIX = "GREENFORK_SERVER_"


class ServerSettings(ProcessSettings):
    """Settings of the gateway process."""

    model_config = SettingsConfigDict(env_prefix=_PREFIX, hide_input_in_errors=True)

    host: str = "127.0.0.1"
    """Address to listen on. Any other than loopback needs an API key, or ``allow_keyless``."""
    port: int = Field(default=8000, ge=0, le=65535)
    """Port to listen on; 0 takes a free one."""
    datasets: Annotated[tuple[Path, ...], NoDecode] = ()
    """Datasets, or folders of datasets, whose states are served; in the environment separated as in
    PATH. There must be one."""
    data_dir: Path = Path("greenfork-data")
    """Folder of the ledger and of uploads; made where it is missing."""
    database_url: SecretStr | None = None
    """The database of the ledger, keys and jobs, ``sqlite:///FILE`` or ``postgresql://…``; unset,
    ``ledger.sqlite`` in the data directory."""
    workers: int | None = Field(default=None, ge=1)
    """Simulation workers; unset, one a CPU of the cluster."""
    ray_address: str | None = None
    """An existing Ray cluster; unset, the gateway starts its own and ends it with itself."""
    max_body_bytes: int = Field(default=16 * 2**20, ge=1024)
    """Bytes of one request's body; a larger one is answered 413."""
    max_items: int = Field(default=2048, ge=1)
    """Items in one request; more are answered 422."""
    max_pending_items: int = Field(default=20_000, ge=1)
    """Items of all requests under way; a request that does not fit is answered 503."""
    max_pending_bytes: int = Field(default=512 * 2**20, ge=1024)
    """Bytes of all requests' bodies under way; a request that does not fit is answered 503."""
    body_timeout_s: float = Field(default=60.0, gt=0)
    """Seconds that the head of a request may take, and for which a caller may send nothing more of
    a body that is not complete, or take nothing of an answer."""
    min_body_rate: float = Field(default=1024.0, gt=0)
    """Bytes a second that a body must come at on the whole, and an answer must be taken at, after
    the first ``body_timeout_s``; a slower caller is given up."""
    max_connections: int = Field(default=1024, ge=1)
    """Connections at a time, eight ninths of them from one address; more are answered 503."""
    max_streamed: int = Field(default=16, ge=1)
    """Uploads and jobs that come in, or are looked through, at a time; half of them of one key or
    address; more are answered 503."""
    max_upload_bytes: int = Field(default=256 * 2**20, ge=1024)
    """Bytes of one uploaded scenario or state, as it is sent; a larger one is answered 413."""
    hot_memory_mb: int = Field(default=256, ge=0)
    """Memory for answers that can be given again without the ledger, MiB; 0 keeps none."""
    max_job_bytes: int = Field(default=2**30, ge=1024)
    """Bytes of a bulk job's body, unpacked; a larger one is answered 413."""
    max_job_storage_mb: int = Field(default=4096, ge=1)
    """Room that one caller's jobs and their results may take in the database, finished ones too,
    MiB; a job that does not fit is answered 507."""
    max_upload_storage_mb: int = Field(default=8192, ge=1)
    """Room that uploaded scenarios and states may take in the data directory, MiB, half of it of
    one caller; what does not fit is answered 507."""
    max_uploaded_states: int = Field(default=100_000, ge=1)
    """Uploaded states, half of them of one caller; one more is answered 507."""
    min_free_disk_mb: int = Field(default=256, ge=0)
    """Room on the disk of the data directory that uploads and jobs leave to the ledger, MiB."""
    max_job_items: int = Field(default=1_000_000, ge=1)
    """Items of one bulk job; more are answered 422."""
    max_jobs: int = Field(default=100, ge=1)
    """Unfinished bulk jobs of one caller; one more is answered 503."""
    job_retention_days: float = Field(default=30.0, gt=0)
    """Days for which finished bulk jobs and their results are kept."""
    rollout_timeout_s: float = Field(default=60.0, gt=0)
    """Seconds after which a single rollout is ended and counts as failed."""
    max_holders: int = Field(default=16, ge=1)
    """Restored states that one worker keeps at a time."""
    max_holder_memory_mb: int = Field(default=4096, ge=64)
    """Memory of the restored states that one worker keeps, MiB."""
    otlp_endpoint: str | None = None
    """URL of a collector that takes OpenTelemetry traces over HTTP, ``http://127.0.0.1:4318``;
    unset, there are none."""
    api_key: SecretStr | None = None
    """A key with every scope, for the operator and for making a start; unset, only the keys of
    ``greenfork keys`` open, and where there are none either, anyone who reaches the port may."""
    allow_keyless: bool = False
    """Listen on any address without an API key: where something else keeps strangers out."""

    allowed_hosts: Annotated[tuple[str, ...], NoDecode] = ("localhost", "127.0.0.1", "::1")
    """Names under which a service without keys may be asked, and whose pages may use it; separated
    by commas. Addresses in numbers may always be asked. With keys, it holds for what needs none."""
    trusted_proxies: Annotated[tuple[IPvAnyNetwork, ...], NoDecode] = ()
    """Addresses or networks of proxies, separated by commas: from these alone ``X-Forwarded-For``
    is believed, by which callers are told apart."""

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
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
