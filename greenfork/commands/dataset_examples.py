"""``greenfork dataset examples``: which solved points should stand in a prompt, by a model."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from greenfork.commands.options import fields_of
from greenfork.output import print_json
from greenfork.progress import progress_bar
from greenfork.screen import print_rows

__all__ = ["EXAMPLES", "examples"]

EXAMPLES = """Examples:

greenfork dataset examples datasets/crossing --model runs/warm-start/model --out examples

greenfork train offline --policy pointer --beam-data examples/beams.json --pool examples/pool.jsonl
--pool-embeddings examples/pool.npz --query-embeddings examples/queries.npz

greenfork evaluate --dataset datasets/held-out --split all --model runs/warm-start/model
--examples none --examples nearest --examples pointer:runs/pointer --examples-from examples
"""


def examples(
    context: typer.Context,
    datasets: Annotated[
        list[Path], typer.Argument(help="Dataset folders with --outcomes; their training rows.")
    ],
    model: Annotated[str, typer.Option(help="Folder with the model, or smollm2-135m.")],
    out: Annotated[Path, typer.Option(help="Folder to create; must be empty or missing.")],
    pool_size: Annotated[
        int, typer.Option("--pool", min=4, help="Solved points to choose from.")
    ] = 64,
    queries: Annotated[int, typer.Option(min=2, help="Maximum number of queries.")] = 200,
    length: Annotated[int, typer.Option(min=1, max=8, help="Examples in a prompt.")] = 2,
    beam: Annotated[int, typer.Option(min=2, help="Sequences kept per query.")] = 5,
    prompt_form: Annotated[
        Literal["json", "words"],
        typer.Option(help="Prompt format, as in training.", case_sensitive=False),
    ] = "json",
    seed: Annotated[int, typer.Option(min=0, help="Seed of the draw of pool and queries.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
) -> None:
    """Score sequences of solved points by how certain they make a model of the best decision.

    Writes a pool of solved decision points, the best sequences of them for other points, and the
    model's embeddings of both: what train offline --policy pointer learns from.
    """
    from trainer.environment import stay_offline
    from trainer.examples.building import ExamplesPlan, build_examples, load_reader
    from trainer.models.loading import check_model

    stay_offline()
    check_model(model)
    plan = fields_of(ExamplesPlan, context.params, datasets=tuple(datasets))
    with progress_bar("Scoring", total=queries) as update:
        built = build_examples(
            plan, load_reader(model), lambda done, of: update(completed=done, total=of)
        )
    if as_json:
        print_json({"out": str(out), **vars(built)})
        return
    rows = (
        ("pool", f"{built.pool} solved points"),
        ("queries", str(built.queries)),
        ("log-probability of the best decision", f"{built.alone:.3f} without examples"),
        ("", f"{built.best:.3f} with the best {length}"),
    )
    print_rows(str(out), rows)
