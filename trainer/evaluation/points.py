"""The decision points that policies are judged on, read from dataset folders.

Owns which rows those are, which simulation run each comes from, and what a state file says about
the lanes. Does not know what decisions are worth; that is :mod:`trainer.evaluation.worth`.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from xml.sax.saxutils import unescape

from pydantic import ConfigDict, ValidationError

from shared.dataset import DatasetLayout, Manifest, Message, Outcome
from shared.decisions import DecisionKind
from shared.errors import DatasetError
from shared.files import os_errors
from shared.language.completion_items import DEFAULT_EXTEND_S, Situation
from shared.model import WireModel
from shared.signals import Phase, Signal, SignalState
from shared.validation import without_nulls
from shared.wire.states import Fidelity, StateRecord
from trainer.data.prompts import read_rows
from trainer.data.rows import row_error

__all__ = ["DecisionPoint", "SplitName", "read_points", "vehicles_on_lanes"]

SplitName = Literal["eval", "train", "all"]

_LANE = re.compile(rb'<lane id="([^"]*)"[^>]*>\s*<vehicles value="([^"]*)"')


class _Row(WireModel):
    """The columns that are read."""

    model_config = ConfigDict(extra="ignore")

    prompt: tuple[Message, ...]
    state_id: str
    tls_id: str
    decision_kind: DecisionKind
    scenario: str
    difficulty: float | str | None = None
    fidelity: Fidelity = "bundle"
    outcomes: tuple[Outcome, ...] | None = None


@dataclass(frozen=True)
class DecisionPoint:
    """One signal in one state, and what is known about it."""

    prompt: tuple[Message, ...]
    place: Situation
    domain: str
    """The scenario's name."""
    run: str
    """The simulation run that it was saved from, unique across datasets."""
    state_file: Path
    difficulty: str | None = None
    """The third of [0, 1] that the row's ``difficulty`` lies in, or the ``difficulty`` itself if
    it is text."""
    extend_s: int = DEFAULT_EXTEND_S
    """Seconds that a *yes* adds."""
    horizon_s: int = 0
    """Horizon of the stored outcomes, seconds."""
    greens: Mapping[int, Phase] | None = None
    """The green phases of the signal's program; None if the dataset does not say."""
    outcomes: tuple[Outcome, ...] | None = None
    """Every legal decision's metrics, if they were stored."""
    fidelity: Fidelity = "bundle"
    """Whether the state is one of the user's own simulation."""
    signal: Signal | None = None
    """The rules for what may be decided; None if the dataset does not say."""
    time_s: float | None = None
    """When it was saved, seconds of simulated time; None if the dataset does not say."""
    signal_state: SignalState | None = None
    """What the signal is doing; None if the dataset does not say."""

    @property
    def name(self) -> str:
        """The name used in messages."""
        return f"{self.place.state_id}, signal {self.place.tls_id}"


def read_points(datasets: Sequence[Path], split: SplitName) -> tuple[DecisionPoint, ...]:
    """The decision points of some dataset folders; one held by several is taken once.

    Args:
        datasets: Folders made by ``greenfork dataset build``.
        split: Which of their rows to read.

    Raises:
        DatasetError: A folder is not a dataset, a row is invalid, or there are no rows.
    """
    points = [point for root in datasets for point in _points_of(root, split)]
    if not points:
        listed = ", ".join(str(root) for root in datasets)
        raise DatasetError(f"no rows in the split {split!r} of {listed}: try --split all")
    unique: dict[Situation, DecisionPoint] = {}
    for point in points:
        unique.setdefault(point.place, point)
    return tuple(unique.values())


def vehicles_on_lanes(state_file: Path) -> Counter[str]:
    """How many vehicles a saved state has on each lane; empty lanes are left out.

    Raises:
        DatasetError: The file is missing, or is not a SUMO state.
    """
    with os_errors(DatasetError, f"cannot read the state file {state_file}"):
        content = state_file.read_bytes()
    if b"<snapshot" not in content:
        raise DatasetError(f"{state_file} is not a SUMO state")
    counts: Counter[str] = Counter()
    for lane, vehicles in _LANE.findall(content):
        counts[unescape(lane.decode(), {"&quot;": '"', "&apos;": "'"})] += len(vehicles.split())
    return counts


def _points_of(root: Path, split: SplitName) -> list[DecisionPoint]:
    layout = DatasetLayout(root)
    if not layout.manifest.is_file():
        raise DatasetError(f"{root} is not a dataset: it has no manifest.json", "not_a_dataset")
    try:
        manifest = Manifest.model_validate_json(layout.manifest.read_bytes())
        records = _records(layout)
    except (OSError, ValueError) as exc:
        raise DatasetError(f"{root} is not a dataset: {exc}", "not_a_dataset") from exc
    splits: tuple[Literal["train", "eval"], ...] = ("train", "eval") if split == "all" else (split,)
    found = []
    for file in [_rows_file(layout, name) for name in splits]:
        for number, record in enumerate(read_rows(file), start=1):
            row = _row(record, f"{file}, row {number}")
            found.append(_point(row, layout, manifest, records.get(row.state_id)))
    return found


def _rows_file(layout: DatasetLayout, split: Literal["train", "eval"]) -> Path:
    jsonl = layout.rows(split)
    parquet = jsonl.with_suffix(".parquet")
    return parquet if parquet.is_file() and not jsonl.is_file() else jsonl


def _records(layout: DatasetLayout) -> dict[str, StateRecord]:
    with layout.index.open("rb") as lines:
        records = [StateRecord.model_validate_json(line) for line in lines if line.strip()]
    return {record.state_id: record for record in records}


def _row(record: Mapping[str, Any], where: str) -> _Row:
    try:
        return _Row.model_validate(without_nulls(record))
    except ValidationError as exc:
        raise row_error(exc, where) from exc


def _point(
    row: _Row, layout: DatasetLayout, manifest: Manifest, record: StateRecord | None
) -> DecisionPoint:
    if record is None:
        raise DatasetError(f"{layout.index} does not list {row.state_id}, which a row refers to")
    return DecisionPoint(
        prompt=row.prompt,
        place=Situation(state_id=row.state_id, tls_id=row.tls_id, decision_kind=row.decision_kind),
        domain=row.scenario.rpartition("-")[0] or row.scenario,
        difficulty=_label(row.difficulty),
        run=f"{layout.root.resolve()}/{record.run}",
        extend_s=manifest.build.extend_s,
        horizon_s=manifest.build.horizon_s,
        state_file=layout.state_file(row.state_id),
        greens=_greens(row.tls_id, manifest, record),
        outcomes=row.outcomes,
        fidelity=row.fidelity,
        signal=manifest.signals.get(row.tls_id),
        time_s=record.time_s,
        signal_state=record.signals.get(row.tls_id),
    )


def _label(difficulty: float | str | None) -> str | None:
    """The third of [0, 1] that a difficulty lies in; it means the same in every dataset.

    >>> _label(0.0), _label(1.0), _label("hard")
    ('0.00-0.33', '0.67-1.00', 'hard')
    """
    if not isinstance(difficulty, int | float):
        return difficulty
    third = min(2, int(difficulty * 3))
    return f"{third / 3:.2f}-{(third + 1) / 3:.2f}"


def _greens(tls_id: str, manifest: Manifest, record: StateRecord) -> dict[int, Phase] | None:
    if tls_id not in manifest.signals or tls_id not in record.signals:
        return None
    program = manifest.signals[tls_id].programs.get(record.signals[tls_id].program_id)
    return {index: program.phases[index] for index in program.greens()} if program else None
