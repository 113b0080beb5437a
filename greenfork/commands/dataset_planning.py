"""``greenfork dataset planning``: planning problems with reference plans, ready for training."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from greenfork.output import print_json
from greenfork.progress import progress_bar
from greenfork.screen import say, screen
from shared.errors import ConfigError

if TYPE_CHECKING:
    from planning.generators import DomainName
    from planning.records import PlanningManifest

__all__ = ["EXAMPLES", "planning"]

EXAMPLES = """Examples:

greenfork dataset planning --domain blocksworld --domain ferry --problems 200 --out datasets/plans

greenfork dataset planning --from my/domains --out datasets/mine
"""

_DomainChoice = StrEnum("_DomainChoice", "blocksworld ferry grippers spanner")

_Domain = Annotated[
    list[_DomainChoice] | None,
    typer.Option("--domain", help="Domain to generate problems for; repeatable."),
]
_Source = Annotated[
    Path | None,
    typer.Option("--from", help="Folder of your own: a subfolder a domain, with its domain.pddl."),
]
_Planner = Annotated[
    Literal["auto", "fast-downward", "pyperplan", "construction", "none"],
    typer.Option(
        help="Program that finds the reference plans; construction, for generated problems, needs "
        "none and makes longer ones; none leaves them out."
    ),
]
_Names = Annotated[
    Literal["numbered", "shuffled"],
    typer.Option(
        help="Generated objects are called 1, 2, … in order; or have random numbers up to 30, and "
        "facts a random order."
    ),
]


def planning(
    out: Annotated[Path, typer.Option(help="Folder to create.")],
    domains: _Domain = None,
    source: _Source = None,
    problems: Annotated[int, typer.Option(min=2, help="Problems per domain.")] = 100,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the generated problems.")] = 0,
    planner: _Planner = "auto",
    names: _Names = "numbered",
    as_json: Annotated[bool, typer.Option("--json", help="Print the manifest as JSON.")] = False,
) -> None:
    """Build a dataset of planning problems with prompts and reference plans.

    Generated problems can be solved by construction, and their file names carry their difficulty. A
    fifth of them is held out, of sizes that the rest does not have.
    """
    from planning.building import PlanningBuild, build_planning_dataset
    from planning.planners.reference import find_planner

    if domains and source:
        raise ConfigError("pass --domain to generate problems, or --from to use your own, not both")
    build = PlanningBuild(
        out, _chosen(domains or []), problems, seed, source, has_shuffled_names=names == "shuffled"
    )
    found = None if planner == "none" else find_planner(planner)
    total = problems * len(build.domains) if not source else None
    with progress_bar("building problems", total=total) as update:
        manifest = build_planning_dataset(build, found, lambda: update(advance=1))
    if as_json:
        print_json({"dataset": str(out), **manifest.model_dump(mode="json")})
    else:
        _show(out, manifest)


def _chosen(domains: list[_DomainChoice]) -> "tuple[DomainName, ...]":
    """Each once, in the order given."""
    from planning.generators import DOMAINS

    names = [one.value for one in domains]
    return tuple(sorted((one for one in DOMAINS if one in names), key=names.index))


def _show(out: Path, manifest: "PlanningManifest") -> None:
    from rich.table import Table

    table = Table(title=f"Dataset {out}", title_justify="left")
    for heading in ("domain", "train", "eval"):
        table.add_column(heading, justify="left" if heading == "domain" else "right")
    for domain, counts in sorted(manifest.problems.items()):
        table.add_row(domain, str(counts["train"]), str(counts["eval"]))
    screen().print(table)
    say(f"Next: greenfork serve --dataset {out}")
