"""Decision points out of a small dataset folder, to teach from."""

from collections.abc import Sequence
from pathlib import Path

from shared.dataset import Action, DatasetLayout, Manifest, SimulationRef
from tests.unit.trainer.evaluation.small_dataset import Moment, save_dataset
from trainer.evaluation.points import DecisionPoint, read_points

__all__ = ["points_of", "record_actions", "save_lessons"]


def save_lessons(root: Path, moments: Sequence[Moment], eval_rows: int = 0) -> Path:
    """A dataset folder whose last ``eval_rows`` rows are held out."""
    layout = DatasetLayout(save_dataset(root, moments))
    rows = layout.rows("eval").read_text().splitlines(keepends=True)
    split = len(rows) - eval_rows
    layout.rows("train").write_text("".join(rows[:split]))
    layout.rows("eval").write_text("".join(rows[split:]))
    return root


def points_of(root: Path, moments: Sequence[Moment]) -> tuple[DecisionPoint, ...]:
    """The points of such a folder."""
    return read_points([save_lessons(root, moments)], "train")


def record_actions(root: Path, run: str, actions: Sequence[Action] | None) -> None:
    """Says what ran the signals in a run; None for their programs."""
    layout = DatasetLayout(root)
    manifest = Manifest.model_validate_json(layout.manifest.read_bytes())
    file = None
    if actions is not None:
        file = f"actions/{run}.jsonl"
        layout.actions(run).parent.mkdir(exist_ok=True)
        layout.actions(run).write_text("".join(f"{a.model_dump_json()}\n" for a in actions))
    simulation = SimulationRef(
        run=run, command=("sumo",), begin_s=0, end_s=100, seed=1, actions=file
    )
    changed = manifest.model_copy(update={"simulations": (simulation,)})
    layout.manifest.write_text(changed.model_dump_json())
