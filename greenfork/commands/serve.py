"""``greenfork serve``: the reward service."""

from pathlib import Path
from typing import Annotated

import typer

from greenfork.output import print_json

__all__ = ["EXAMPLE", "serve"]

EXAMPLE = "Example: greenfork serve --dataset datasets/crossing --port 8000"
_Datasets = Annotated[
    list[Path] | None,
    typer.Option("--dataset", help="Dataset, or folder of datasets, to serve; repeatable."),
]
_Host = Annotated[str | None, typer.Option(help="Address to listen on. Default: 127.0.0.1.")]
_Port = Annotated[
    int | None, typer.Option(help="Port to listen on; 0 picks a free one. Default: 8000.")
]
_Workers = Annotated[int | None, typer.Option(help="Simulation workers. Default: one per CPU.")]
_DataDir = Annotated[
    Path | None, typer.Option(help="Folder of the ledger. Default: greenfork-data.")
]
_DatabaseUrl = Annotated[
    str | None,
    typer.Option(
        help="URL of the ledger: sqlite:///FILE or postgresql://USER@HOST/NAME. If it has a "
        "password, set GREENFORK_SERVER_DATABASE_URL instead, which other users cannot see. "
        "Default: ledger.sqlite in the data directory."
    ),
]
_RayAddress = Annotated[
    str | None,
    typer.Option(help="Address of an existing Ray cluster. Default: start Ray locally."),
]
_AllowKeyless = Annotated[
    bool | None,
    typer.Option("--allow-keyless", help="Listen on any address without GREENFORK_SERVER_API_KEY."),
]


def serve(
    context: typer.Context,
    datasets: _Datasets = None,
    host: _Host = None,
    port: _Port = None,
    workers: _Workers = None,
    data_dir: _DataDir = None,
    database_url: _DatabaseUrl = None,
    ray_address: _RayAddress = None,
    allow_keyless: _AllowKeyless = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print status as JSON.")] = False,
) -> None:
    """Serve the states of datasets: score decisions over HTTP until interrupted.

    Each option can be set in the environment as GREENFORK_SERVER_…; the command line wins.
    """
    import asyncio

    import uvloop

    from reward_server.main import serve as serve_until_stopped
    from reward_server.settings import load_settings

    given = {
        name: value for name, value in context.params.items() if name != "as_json" and value != ()
    }

    def announce(text: str) -> None:
        if as_json:
            print_json({"message": text})
        else:
            typer.echo(text)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve_until_stopped(load_settings(given), announce))
