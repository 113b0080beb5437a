"""``greenfork outcomes``: what each legal decision in a state leads to, the best first."""

from typing import TYPE_CHECKING, Annotated, assert_never

import typer

from greenfork.commands.options import ApiKey, Url, checked, secret
from greenfork.output import print_json
from greenfork.screen import figure, screen

if TYPE_CHECKING:
    from pydantic import SecretStr

    from shared.decisions import Decision
    from shared.wire.outcomes import OutcomesQuery, OutcomesResponse

__all__ = ["EXAMPLE", "outcomes"]

EXAMPLE = "Example: greenfork outcomes --url http://127.0.0.1:8000 crossing@300-b9c873928f38"


def outcomes(
    context: typer.Context,
    state_id: Annotated[str, typer.Argument(help="State id, as listed by GET /v1/states.")],
    url: Url,
    tls_id: Annotated[
        str | None,
        typer.Option("--tls", help="The signal; optional if only one can be decided."),
    ] = None,
    kind: Annotated[str, typer.Option(help="extend, phase, cycle or plan.")] = "extend",
    reward: Annotated[
        str, typer.Option(help="queue_gain, queue, wait, pressure, speed, delay or custom.NAME.")
    ] = "queue_gain",
    horizon_s: Annotated[int, typer.Option("--horizon", help="Rollout length, seconds.")] = 60,
    follow_up: Annotated[
        str,
        typer.Option(help="What controls the signal afterwards: program, max_pressure or greedy."),
    ] = "program",
    extend_s: Annotated[int, typer.Option("--extend", help="Seconds added by a yes.")] = 5,
    timeout_s: Annotated[float, typer.Option("--timeout", help="Request timeout, seconds.")] = 120,
    api_key: ApiKey = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the service's response.")] = False,
) -> None:
    """Roll out and rank every legal decision in a state.

    A decision that fails is listed with its reason; the exit status is then 1.
    """
    import asyncio

    from shared.wire.outcomes import OutcomesQuery

    query = checked(OutcomesQuery, context.params)
    answer = asyncio.run(_ask(url, secret(api_key), state_id, query))
    if as_json:
        print_json(answer.model_dump(mode="json"))
    else:
        _print_table(answer)
    raise typer.Exit(1 if answer.counts.failed else 0)


async def _ask(
    url: str, api_key: "SecretStr | None", state_id: str, query: "OutcomesQuery"
) -> "OutcomesResponse":
    from reward_client import RewardClient

    async with RewardClient(url, api_key) as client:
        return await client.outcomes(state_id, query)


def _print_table(answer: "OutcomesResponse") -> None:
    from rich.table import Table

    table = Table(
        title=f"{answer.state_id}, signal {answer.tls_id}",
        caption=f"{answer.reward.name} over {answer.reward.horizon_s} s; restore: {answer.restore}",
    )
    table.add_column("decision")
    for name in ("reward", "regret", "rank", "queue"):
        table.add_column(name, justify="right")
    for one in answer.outcomes:
        said = one.error.code if one.error else figure(one.reward, ".4f")
        queue_veh = None if one.metrics is None else one.metrics.queue_veh
        figures = figure(one.regret, ".4f"), figure(one.rank, "d"), figure(queue_veh, ".2f")
        table.add_row(_words(one.decision), said, *figures)
    left_alone = answer.reference
    said = left_alone.error.code if left_alone.error else figure(left_alone.reward, ".4f")
    table.add_section()
    queue_veh = None if left_alone.metrics is None else left_alone.metrics.queue_veh
    table.add_row("no intervention", said, "", "", figure(queue_veh, ".2f"))
    screen().print(table)


def _words(decision: "Decision") -> str:
    """A decision as short as it can be told.

    >>> from shared.decisions import Cycle, CycleGreen, NextPhase
    >>> _words(NextPhase(next_phase=4, green_s=20))
    'phase 4 for 20 s'
    >>> _words(Cycle(greens=(CycleGreen(phase=0, green_s=30), CycleGreen(phase=2, green_s=15))))
    '0: 30 s, 2: 15 s'
    """
    from shared.decisions import Cycle, Extend, NextPhase, Plan

    match decision:
        case Extend(extend=True):
            return f"yes, {decision.extend_s} s more"
        case Extend():
            return "no"
        case NextPhase():
            return f"phase {decision.next_phase} for {decision.green_s} s"
        case Cycle():
            return ", ".join(f"{green.phase}: {green.green_s} s" for green in decision.greens)
        case Plan():
            return ", ".join("yes" if step.extend else "no" for step in decision.steps)
    assert_never(decision)
