"""The ``greenfork`` command: one verb per module, and the one place where errors end.

Modules of verbs import what is heavy inside their functions, so that ``--help`` is instant.
"""

import sys
from collections.abc import Sequence
from typing import Annotated, Literal

import typer
from typer.exceptions import TyperException

from greenfork.commands import (
    control,
    dataset,
    demo,
    episodes,
    evaluate,
    jobs,
    keys,
    ledger,
    outcomes,
    predict,
    push,
    report,
    scenarios,
    score,
    serve,
    train,
)
from greenfork.earlier_flags import todays_arguments
from greenfork.output import exit_status, print_error
from greenfork.screen import plain
from shared.errors import GreenforkError

__all__ = ["app", "commands"]

commands = typer.Typer(
    name="greenfork",
    help="Exact rewards for traffic-signal decisions, from forked SUMO simulations.",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
)
_SCORE, _DATA = "Serve and score", "Data"
_TRAIN, _OPERATE = "Train and evaluate", "Operate"

commands.command(epilog=serve.EXAMPLE, rich_help_panel=_SCORE)(serve.serve)
commands.command(epilog=score.EXAMPLE, rich_help_panel=_SCORE)(score.score)
commands.command(epilog=outcomes.EXAMPLE, rich_help_panel=_SCORE)(outcomes.outcomes)
commands.add_typer(scenarios.app, name="scenarios", rich_help_panel=_DATA)
commands.add_typer(dataset.app, name="dataset", rich_help_panel=_DATA)
commands.command(epilog=push.EXAMPLE, rich_help_panel=_DATA)(push.push)
commands.add_typer(train.app, name="train", rich_help_panel=_TRAIN)
commands.command(epilog=evaluate.EXAMPLES, rich_help_panel=_TRAIN)(evaluate.evaluate)
commands.command(epilog=predict.EXAMPLE, rich_help_panel=_TRAIN)(predict.predict)
commands.command(epilog=control.EXAMPLES, rich_help_panel=_TRAIN)(control.control)
commands.command(epilog=report.EXAMPLES, rich_help_panel=_TRAIN)(report.report)
commands.command(epilog=demo.EXAMPLE, rich_help_panel=_TRAIN)(demo.demo)
commands.add_typer(jobs.app, name="jobs", rich_help_panel=_OPERATE)
commands.add_typer(episodes.app, name="episodes", rich_help_panel=_OPERATE)
commands.add_typer(keys.app, name="keys", rich_help_panel=_OPERATE)
commands.add_typer(ledger.app, name="ledger", rich_help_panel=_OPERATE)


def _print_version(is_asked: bool) -> None:
    if is_asked:
        from importlib.metadata import version

        typer.echo(f"greenfork {version('greenfork')}")
        raise typer.Exit


@commands.callback()
def _root(
    log_level: Annotated[
        Literal["DEBUG", "INFO", "WARNING", "ERROR"],
        typer.Option(help="Minimum log level.", envvar="GREENFORK_LOG_LEVEL", case_sensitive=False),
    ] = "INFO",
    _debug: Annotated[
        bool,
        typer.Option("--debug", help="Show tracebacks; also accepted after the command."),
    ] = False,
    _version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version.", callback=_print_version, is_eager=True
        ),
    ] = False,
) -> None:
    from greenfork.logs import configure_logs

    configure_logs(log_level)


def app(argv: Sequence[str] | None = None) -> None:
    """Runs the command line and ends the process.

    Exit status: 0 done, 1 some of the work failed, 2 something that was given is unusable.

    Args:
        argv: The arguments; by default those of the process.
    """
    args = list(sys.argv[1:] if argv is None else argv)
    sys.exit(_run(*_without_debug(todays_arguments(args)), as_json="--json" in args))


def _without_debug(args: list[str]) -> tuple[list[str], bool]:
    """The arguments without ``--debug``, which may stand anywhere, and whether it was there."""
    end = args.index("--") if "--" in args else len(args)
    kept = [one for one in args[:end] if one != "--debug"]
    return kept + args[end:], len(kept) < end


def _run(args: list[str], is_debug: bool, as_json: bool) -> int:
    try:
        ended = commands(args, prog_name="greenfork", standalone_mode=not as_json)
    except GreenforkError as exc:
        _show_traceback(exc, is_debug)
        message = ". ".join([exc.message, *getattr(exc, "__notes__", ())])
        print_error(message, exc.code, as_json, exc.retryable)
        return exit_status(exc)
    except TyperException as exc:
        print_error(exc.format_message(), "usage", as_json)
        return 2
    except Exception as exc:  # noqa: BLE001 - where the errors of third parties end
        return _explain(exc, is_debug, as_json)
    return ended if isinstance(ended, int) else 0


def _explain(error: Exception, is_debug: bool, as_json: bool) -> int:
    """Says in one line what failed, and gives the exit status."""
    from greenfork.troubles import explained

    _show_traceback(error, is_debug)
    trouble = explained(error)
    print_error(trouble.message, trouble.code, as_json)
    return trouble.status


def _show_traceback(error: Exception, is_debug: bool) -> None:
    if is_debug:
        import traceback

        sys.stderr.write(plain("".join(traceback.format_exception(error))))
