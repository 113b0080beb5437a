"""The refusal to serve if strangers could reach a service that requires no key."""

from sqlalchemy import URL

from reward_server.auth.closure import Closure
from reward_server.auth.key_store import KeyStore
from reward_server.settings import ServerSettings
from reward_server.storage.database import Database
from reward_server.storage.urls import file_of
from shared.errors import ConfigError

__all__ = ["refuse_exposure"]


async def refuse_exposure(settings: ServerSettings) -> None:
    """Returns if strangers are kept out; called before anything is started or listens.

    Raises:
        ConfigError: The address can be reached from elsewhere, and there is no key; or the database
            that might have one cannot be opened.
        LedgerError: The keys cannot be looked up.
    """
    if settings.is_sheltered or Closure(settings.data_dir).is_set():
        return
    if await _has_keys(settings.database()):
        return
    raise ConfigError(
        f"host (GREENFORK_SERVER_HOST): {settings.host} can be reached from other machines: "
        "create a key with `greenfork keys create`, set GREENFORK_SERVER_API_KEY, or pass "
        "--allow-keyless if access is restricted by other means"
    )


async def _has_keys(url: URL) -> bool:
    """Whether a database has keys; does not create the database if it is missing."""
    file = file_of(url)
    if file is not None and not file.exists():
        return False
    database = Database(url)
    try:
        await database.start()
        return await KeyStore(database).has_any()
    finally:
        await database.close()
