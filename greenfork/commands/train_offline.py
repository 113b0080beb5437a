"""``greenfork train offline``: post-train a model or a selector on scored candidates."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from greenfork.commands import train_options as options
from greenfork.screen import figure

if TYPE_CHECKING:
    from trainer.offline import OfflineConfig
    from trainer.offline.preparation import PreparedOffline
    from trainer.pointer import PointerConfig
    from trainer.runs.reports import OfflineReport, Validation

__all__ = ["EXAMPLES", "offline"]

EXAMPLES = """Examples:

greenfork train offline --config offline-small --sft-ckpt runs/warm-start/model
--beam-data datasets/cologne1

greenfork train offline --sft-ckpt runs/sft/model --beam-data plans.jsonl --rce-epochs 2
--grpo-epochs 3 --output-dir runs/offline --set scale_rewards=dataset

greenfork train offline --config my.yaml --max-samples 200 --dry-run

greenfork train offline --policy pointer --beam-data beams.json --pool pool.txt
--pool-embeddings pool.npz --query-embeddings queries.npz --output-dir runs/pointer
"""


_Config = Annotated[
    str | None, typer.Option(help="A YAML file, or the name of a preset: offline-small.")
]
_ModelPath = Annotated[
    str | None,
    typer.Option(
        "--sft-ckpt",
        "--model-path",
        help="Folder with the model to start from, or smollm2-135m.",
    ),
]
_BeamData = Annotated[
    str | None,
    typer.Option(help="Scored candidates: a file, a folder, or a dataset with outcomes."),
]
_Policy = Annotated[
    Literal["model", "pointer"],
    typer.Option(help="A language model, or a selector over a pool.", case_sensitive=False),
]
_Pool = Annotated[str | None, typer.Option(help="Pointer: the items, a text file or a table.")]
_PoolEmbeddings = Annotated[str | None, typer.Option(help="Pointer: embeddings of the items.")]
_QueryEmbeddings = Annotated[str | None, typer.Option(help="Pointer: embeddings of the queries.")]
_TokenIds = Annotated[
    bool | None,
    typer.Option("--token-ids", help="Model: numbers in id_list are its token ids."),
]
_SftEpochs = Annotated[
    int | None, typer.Option(help="Pointer: epochs of imitation before stage 1.")
]
_RceEpochs = Annotated[
    int | None, typer.Option(help="Epochs of stage 1, reward-weighted cross-entropy.")
]
_GrpoEpochs = Annotated[int | None, typer.Option(help="Epochs of stage 2, offline GRPO.")]
_LearningRate = Annotated[
    float | None,
    typer.Option(help="Peak learning rate. Default: a tenth of the starting model's."),
]
_BatchSize = Annotated[int | None, typer.Option(help="Queries per forward pass.")]
_MaxSamples = Annotated[int | None, typer.Option(help="Maximum number of queries.")]


def offline(
    context: typer.Context,
    config: _Config = None,
    model_path: _ModelPath = None,
    beam_data: _BeamData = None,
    policy: _Policy = "model",
    pool: _Pool = None,
    pool_embeddings: _PoolEmbeddings = None,
    query_embeddings: _QueryEmbeddings = None,
    token_ids: _TokenIds = None,
    sft_epochs: _SftEpochs = None,
    rce_epochs: _RceEpochs = None,
    grpo_epochs: _GrpoEpochs = None,
    output_dir: options.OutputDir = None,
    learning_rate: _LearningRate = None,
    batch_size: _BatchSize = None,
    max_samples: _MaxSamples = None,
    seed: options.Seed = None,
    settings: options.SetPairs = None,
    dry_run: options.DryRun = False,
    as_json: options.AsJson = False,
) -> None:
    """Post-train on scored candidates: imitate the better ones, then prefer them. No service.

    What the command line sets wins over the file, and the file over the defaults. The candidates
    are described in docs/offline.md, selectors in docs/pointer.md, every setting in
    docs/settings.md.
    """
    if policy == "pointer":
        from trainer.pointer import PointerConfig, train_pointer

        chooser = options.settings_of(PointerConfig, context.params)
        options.run_or_rehearse(chooser, context.params, _rehearsed_pointer, train_pointer, _rows)
        return
    from trainer.offline import OfflineConfig, train_offline

    _refuse_pointers_options(context)
    resolved = options.settings_of(OfflineConfig, context.params)
    options.run_or_rehearse(resolved, context.params, _rehearsed, train_offline, _rows)


def _refuse_pointers_options(context: typer.Context) -> None:
    from shared.errors import ConfigError

    names = ("pool", "pool_embeddings", "query_embeddings", "sft_epochs")
    if given := [name for name in names if context.params[name] is not None]:
        flag = given[0].replace("_", "-")
        raise ConfigError(f"--{flag} is for a selector over a pool: add --policy pointer")


def _rehearsed(config: "OfflineConfig") -> options.Findings:
    from trainer.offline.preparation import prepare_offline

    return _findings(config, prepare_offline(config), {})


def _rehearsed_pointer(config: "PointerConfig") -> options.Findings:
    from trainer.pointer.preparation import prepare_pointer

    ready = prepare_pointer(config)
    more = {"items": len(ready.pool), "longest selection": ready.length - ready.has_end}
    return _findings(config, ready, more)


def _findings(
    config: "OfflineConfig", ready: "PreparedOffline", more: dict[str, int]
) -> options.Findings:
    from trainer.offline.preparation import spread_of

    found = {
        **more,
        "queries": len(ready.train),
        "candidates": ready.candidates,
        "validation queries": len(ready.validation),
        "learning rate": config.peak_rate,
        **options.hardware_found(ready.hardware),
    }
    spread = spread_of(ready.train_advantages).model_dump()
    said = ", ".join(f"{name} {v:.3f}" for name, v in spread.items())
    return options.Findings(found, f"# advantages: {said}", {"advantages": spread})


def _rows(report: "OfflineReport") -> Iterable[tuple[str, str]]:
    files, spread = report.files, report.advantages
    return (
        ("queries", f"{report.queries} with {report.candidates} candidates"),
        ("advantages", f"{spread.least:+.2f} to {spread.greatest:+.2f}"),
        ("  that are 0", f"{spread.zero_share:.1%}"),
        ("steps", _steps(report)),
        ("seconds", f"{report.seconds:.1f}"),
        ("before", _words(report.before)),
        ("after", _words(report.after)),
        ("KL", figure(report.kl, ".4f")),
        ("weight of the KL", figure(report.kl_coeff, "g")),
        ("temperature", figure(report.temperature, ".3g")),
        ("model" if files.model else "adapter", str(files.model or files.adapter)),
        ("merged model", str(files.merged or "-")),
        ("best checkpoint", str(files.best_checkpoint or "-")),
        ("after the last step", str(files.last or "-")),
        ("plot", str(files.plot)),
    )


def _steps(report: "OfflineReport") -> str:
    before = f"{report.sft_steps} of imitation, " if report.sft_steps else ""
    return f"{before}{report.rce_steps} of stage 1, {report.grpo_steps} of stage 2"


def _words(found: "Validation | None") -> str:
    if found is None:
        return "-"
    return f"regret {found.regret:.3f}, agreement {found.agreement:.1%} of {found.queries} queries"
