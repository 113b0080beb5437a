"""``greenfork dataset top-plans``: the cheapest plans of problems, as scored candidates."""

import json
from pathlib import Path
from typing import Annotated, Literal

import typer

from greenfork.output import print_json
from greenfork.progress import progress_bar
from greenfork.screen import say
from shared.errors import ConfigError, DatasetError
from shared.files import os_errors, write_atomically

__all__ = ["EXAMPLES", "top_plans"]

EXAMPLES = """Examples:

greenfork dataset top-plans datasets/plans --out top.jsonl --plans 8

greenfork train offline --beam-data top.jsonl --model-path runs/sft/model
"""
_MAX_LISTED = 20


def top_plans(
    dataset: Annotated[Path, typer.Argument(help="Folder of a planning dataset.")],
    out: Annotated[Path, typer.Option(help="JSON lines file to write, one problem per line.")],
    plans: Annotated[int, typer.Option(min=2, max=64, help="Plans per problem.")] = 8,
    split: Annotated[
        Literal["train", "eval"], typer.Option(help="Rows to use.", case_sensitive=False)
    ] = "train",
    problems: Annotated[
        int | None, typer.Option(min=1, help="Most problems, evenly spread. Default: all.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
) -> None:
    """Find the cheapest plans of each problem; every plan is validated.

    Each row contains them as id_list, cheapest first, and as score_list the cost of the cheapest
    divided by their own. Needs kstar-planner, which is run as a program. Problems without two plans
    are left out and listed.
    """
    from planning.judge import Judge
    from planning.planners.top_plans import find_top_planner, top_plan_rows
    from planning.records import PlanningLayout

    if not PlanningLayout(dataset).is_there:
        raise DatasetError(
            f"{dataset} is no planning dataset; for decision points, greenfork dataset plans "
            "searches plans"
        )
    rows, left_out = [], []
    planner = find_top_planner()
    with progress_bar("finding plans", total=problems) as update, Judge() as judge:
        for found in top_plan_rows(dataset, split, plans, planner, judge, problems):
            if found.row is not None:
                rows.append(found.row)
            else:
                left_out.append(found)
            update(advance=1)
    if not rows:
        raise DatasetError(f"no problem of {dataset} has two plans: {left_out[0].reason}")
    with os_errors(ConfigError, f"cannot write {out}"):
        write_atomically(out, "".join(f"{json.dumps(row)}\n" for row in rows).encode())
    equal = sum(len(set(row["score_list"])) == 1 for row in rows)
    if as_json:
        listed = [{"problem_id": one.problem_id, "reason": one.reason} for one in left_out]
        print_json({"output": str(out), "rows": len(rows), "equal": equal, "left_out": listed})
        return
    say(f"{len(rows)} problems with candidate plans in {out}; all of {equal} cost the same")
    for one in left_out[:_MAX_LISTED]:
        say(f"left out: {one.problem_id}: {one.reason}", err=True)
    if len(left_out) > _MAX_LISTED:
        say(f"and {len(left_out) - _MAX_LISTED} more; --json has them all", err=True)
