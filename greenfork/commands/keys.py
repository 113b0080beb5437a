"""``greenfork keys``: who may call a reward service. Works on its database, running or not."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from greenfork.output import print_json
from greenfork.screen import say, screen

if TYPE_CHECKING:
    from reward_server.auth.key_store import KeyStore

__all__ = ["app"]

app = typer.Typer(
    help="Create, list and revoke the API keys of a reward service.", no_args_is_help=True
)

_DataDir = Annotated[
    Path | None, typer.Option(help="The service's data directory. Default: greenfork-data.")
]
_DatabaseUrl = Annotated[
    str | None,
    typer.Option(
        help="The service's database, if it is not in the data directory. If the URL contains a "
        "password, set GREENFORK_SERVER_DATABASE_URL instead."
    ),
]
_AsJson = Annotated[bool, typer.Option("--json", help="Print as JSON.")]
_Done = TypeVar("_Done")


@app.command(epilog="Example: greenfork keys create trainer-7 --scope score --scope upload")
def create(
    name: Annotated[
        str, typer.Argument(help="Name of the caller, shown in logs; cannot be reused.")
    ],
    scope: Annotated[
        list[str] | None,
        typer.Option(
            help="score, upload, admin or read (to look only); repeatable. Default: score."
        ),
    ] = None,
    weight: Annotated[float, typer.Option(help="Relative share of the workers.")] = 1.0,
    data_dir: _DataDir = None,
    database_url: _DatabaseUrl = None,
    as_json: _AsJson = False,
) -> None:
    """Create a key and print it. It is not stored, so this is the only time it is shown.

    Callers send it as a bearer token; the clients read it from GREENFORK_API_KEY.
    """
    scopes = sorted(set(scope or ["score"]))
    made = _with_keys(data_dir, database_url, lambda keys: keys.create(name, scopes, weight))
    if as_json:
        print_json({"name": name, "key": made.secret, "scopes": scopes, "weight": weight})
        return
    say(made.secret)
    say("Save this key: it is not stored here and cannot be shown again.", err=True)


@app.command("list", epilog="Example: greenfork keys list --data-dir greenfork-data")
def list_keys(
    data_dir: _DataDir = None, database_url: _DatabaseUrl = None, as_json: _AsJson = False
) -> None:
    """List the keys: names, scopes and weights, but not the secrets."""
    from datetime import UTC, datetime

    from rich.table import Table

    keys = _with_keys(data_dir, database_url, lambda keys: keys.keys())

    def shown(seconds: float | None) -> str | None:
        if seconds is None:
            return None
        return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")

    rows = [
        {
            "name": key.name,
            "key_id": key.key_id,
            "scopes": sorted(key.scopes),
            "weight": key.weight,
            "created_at": shown(key.created_at),
            "revoked_at": shown(key.revoked_at),
        }
        for key in keys
    ]
    if as_json:
        print_json(rows)
        return
    table = Table("name", "key", "scopes", "weight", "created", "revoked")
    for key in keys:
        scopes = ", ".join(sorted(key.scopes))
        days = [(shown(at) or "")[:10] for at in (key.created_at, key.revoked_at)]
        table.add_row(key.name, f"gfk_{key.key_id}_…", scopes, f"{key.weight:g}", *days)
    screen().print(table)


@app.command(epilog="Example: greenfork keys revoke trainer-7")
def revoke(
    name: Annotated[str, typer.Argument(help="Name of the key.")],
    data_dir: _DataDir = None,
    database_url: _DatabaseUrl = None,
    as_json: _AsJson = False,
) -> None:
    """Revoke a key. Running services refuse it within five seconds."""
    is_new = _with_keys(data_dir, database_url, lambda keys: keys.revoke(name))
    if as_json:
        print_json({"name": name, "revoked": is_new})
    else:
        say(f"{name}: revoked" if is_new else f"{name}: was already revoked")


def _with_keys(
    data_dir: Path | None,
    database_url: str | None,
    work: "Callable[[KeyStore], Awaitable[_Done]]",
) -> _Done:
    """Does something with the keys of a service's database."""
    import asyncio

    from reward_server.auth.closure import Closure
    from reward_server.auth.key_store import KeyStore
    from reward_server.settings import load_settings
    from reward_server.storage.database import Database

    settings = load_settings({"data_dir": data_dir, "database_url": database_url})

    async def done() -> _Done:
        database = Database(settings.database())
        try:
            await database.start()
            keys = KeyStore(database)
            found = await work(keys)
            if await keys.has_any():
                Closure(settings.data_dir).set()
            return found
        finally:
            await database.close()

    return asyncio.run(done())
