"""The files of a dataset: its rows and its manifest, and where they lie."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from shared.decisions import Decision, DecisionKind
from shared.model import WireModel
from shared.rewards import Metrics
from shared.signals import Signal
from shared.states import Restore, Simulator

__all__ = [
    "BuildReport",
    "DatasetLayout",
    "Manifest",
    "Message",
    "Outcome",
    "Row",
    "ScenarioRef",
    "SimulationRef",
]


class Message(WireModel):
    """One message of a prompt."""

    role: Literal["system", "user"]
    content: str


class Outcome(WireModel):
    """What a legal decision led to."""

    decision: Decision
    metrics: Metrics


class Row(WireModel):
    """One decision point: a signal in a state, ready for ``GRPOTrainer``."""

    prompt: tuple[Message, ...]
    state_id: str
    scenario: str
    """The scenario's id."""
    tls_id: str
    decision_kind: DecisionKind
    current_phase: int
    elapsed_green_s: float
    min_green_s: float
    max_green_s: float
    time_s: float
    seed: int
    restore: Restore
    difficulty: float = Field(ge=0, le=1)
    """0 easy to 1 hard; see :func:`shared.prompts.difficulty`."""
    outcomes: tuple[Outcome, ...] | None = None
    """Every legal decision's metrics, where they were rolled out."""


class ScenarioRef(WireModel):
    """The scenario a dataset was built from."""

    scenario_id: str
    name: str
    config: str
    """Its configuration, relative to the dataset."""
    dropped_options: tuple[str, ...]
    """Options of the original configuration that were left out, because they write or listen."""


class SimulationRef(WireModel):
    """How to reproduce the uninterrupted run with plain SUMO, from within the dataset's folder."""

    command: tuple[str, ...]
    """Arguments for ``sumo``."""
    begin_s: float
    end_s: float
    seed: int


class BuildReport(WireModel):
    """What the builder did."""

    states: int
    rows: int
    passed_over: int
    """States that did not continue exactly from their file, and were therefore not kept."""
    horizon_s: int
    extend_s: int


class Manifest(WireModel):
    """``manifest.json``."""

    format: Literal[1] = 1
    greenfork: str
    """Version of the program that built it."""
    simulator: Simulator
    scenario: ScenarioRef
    simulation: SimulationRef
    signals: dict[str, Signal]
    build: BuildReport


class DatasetLayout:
    """Where the files of a dataset lie under its root folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.manifest = root / "manifest.json"
        self.scenario = root / "scenario"
        self.states = root / "states"
        self.index = root / "states" / "index.jsonl"

    def rows(self, split: Literal["train", "eval"]) -> Path:
        """The rows of one split."""
        return self.root / f"{split}.jsonl"

    def state_file(self, state_id: str) -> Path:
        """The SUMO state file of a state."""
        return self.states / f"{state_id}.xml"
