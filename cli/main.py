"""The ``greenfork`` command: one verb a module, and the one place where errors end.

Modules of verbs import what is heavy inside their functions, so that ``--help`` is instant.
"""

import sys
from collections.abc import Sequence
from typing import Annotated, Literal

import typer
from typer.exceptions import TyperException

from cli import (
    dataset,
    demo,
    evaluate,
    jobs,
    keys,
    ledger,
    outcomes,
    push,
    scenarios,
    score,
    serve,
    train,
)
from cli.output import exit_status, print_error

__all__ = ["app", "commands"]

commands = typer.Typer(
    name="greenfork",
    help="Exact rewards for traffic-signal decisions, from forked SUMO simulations.",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
)
commands.add_typer(scenarios.app, name="scenarios")
commands.add_typer(dataset.app, name="dataset")
commands.add_typer(train.app, name="train")
commands.add_typer(keys.app, name="keys")
commands.add_typer(jobs.app, name="jobs")
commands.add_typer(ledger.app, name="ledger")
commands.command(epilog=serve.EXAMPLE)(serve.serve)
commands.command(epilog=score.EXAMPLE)(score.score)
commands.command(epilog=outcomes.EXAMPLE)(outcomes.outcomes)
commands.command(epilog=evaluate.EXAMPLES)(evaluate.evaluate)
commands.command(epilog=push.EXAMPLE)(push.push)
commands.command(epilog=demo.EXAMPLE)(demo.demo)


def _print_version(is_asked: bool) -> None:
    if is_asked:
        from importlib.metadata import version

        typer.echo(f"greenfork {version('greenfork')}")
        raise typer.Exit


@commands.callback()
def _root(
    log_level: Annotated[
        Literal["DEBUG", "INFO", "WARNING", "ERROR"],
        typer.Option(
            help="The least that is logged.", envvar="GREENFORK_LOG_LEVEL", case_sensitive=False
        ),
    ] = "INFO",
    _version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version.", callback=_print_version, is_eager=True
        ),
    ] = False,
) -> None:
    from cli.logs import configure_logs

    configure_logs(log_level)


def app(argv: Sequence[str] | None = None) -> None:
    """Runs the command line and ends the process.

    Exit status: 0 done, 1 some of the work failed, 2 something that was given is unusable.

    Args:
        argv: The arguments; by default those of the process.
    """
    args = list(sys.argv[1:] if argv is None else argv)
    sys.exit(_run(args, as_json="--json" in args))


def _run(args: list[str], as_json: bool) -> int:
    from shared.errors import GreenforkError

    try:
        ended = commands(args, prog_name="greenfork", standalone_mode=not as_json)
    except GreenforkError as exc:
        print_error(exc.message, exc.code, as_json, exc.retryable)
        return exit_status(exc)
    except TyperException as exc:
        print_error(exc.format_message(), "usage", as_json)
        return 2
    return ended if isinstance(ended, int) else 0
