"""The files of a dataset: its rows and its manifest, and where they lie."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from shared.decisions import Decision, DecisionKind
from shared.model import WireModel
from shared.rewards import Metrics
from shared.signals import Signal
from shared.wire.states import Fidelity, Restore, Simulator

__all__ = [
    "Action",
    "BuildReport",
    "DatasetLayout",
    "Manifest",
    "Message",
    "Outcome",
    "Row",
    "ScenarioRef",
    "Sensitivity",
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
    scale: float = 1.0
    """SUMO's ``--scale`` of the run it was saved from; 1 leaves the configuration's."""
    restore: Restore
    fidelity: Fidelity = "bundle"
    difficulty: float = Field(ge=0, le=1)
    """0 easy to 1 hard; see :func:`shared.language.prompts.difficulty`."""
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
    replaced_outputs: tuple[str, ...] = ()
    """Names of outputs in its files that lead nowhere now: the only bytes that were changed."""
    original: tuple[str, ...] = ()
    """Arguments for ``sumo``, run from within the dataset's folder, that are the user's own
    configuration, untouched, and what was given beside it; without seed and scale. Empty where the
    original is not known."""
    variables: dict[str, str] = Field(default_factory=dict)
    """Variables of the environment that the original names, and the values that they had."""
    time_to_teleport_s: float | None = None
    """After so long a wait SUMO takes a vehicle out of the way; below 0: never."""
    end_s: float | None = None
    """Where the configuration ends, seconds; no rollout goes beyond it. None: it names no end."""


class Action(WireModel):
    """One call that was made in a run: of a behaviour policy, ``trafficlight.setPhaseDuration``; of
    an episode any of these.
    """

    time_s: float
    """Made at this simulation time, before the step that starts there, seconds."""
    tls_id: str
    remaining_s: float = Field(default=0, ge=0)
    """How much longer the current phase was to last, seconds; of the other calls 0."""
    call: Literal["setPhase", "setPhaseDuration", "setRedYellowGreenState"] = Field(
        default="setPhaseDuration", exclude_if=lambda call: call == "setPhaseDuration"
    )
    argument: int | str | None = Field(default=None, exclude_if=lambda argument: argument is None)
    """Of the other calls."""


class Sensitivity(WireModel):
    """Where a run depends on the order in which memory was handed out while SUMO loaded it.

    SUMO 1.28 keeps some of its links ordered by their addresses. A worker whose memory is ordered
    otherwise would compute another simulation.
    """

    time_s: float
    """The first second that is another one where memory is ordered otherwise."""
    digest: str
    """Of that second in the run as it was built, 16 hex digits."""


class SimulationRef(WireModel):
    """How to reproduce an uninterrupted run with plain SUMO, from within the dataset's folder."""

    run: str
    """Its name, unique in the dataset: ``seed7``, ``seed7-scale1.2-random``."""
    command: tuple[str, ...]
    """Arguments for ``sumo``."""
    begin_s: float
    end_s: float
    seed: int
    scale: float = 1.0
    policy: str = "program"
    """Who ran the signals; see :mod:`sim_workers.engine.policies`."""
    actions: str | None = None
    """JSON lines of :class:`Action`, in order, relative to the dataset: what the policy did. None
    where the signals were left to their programs."""
    actions_sha256: str | None = None
    """Digest of that file, 64 hex digits: whoever replays the run can tell that it is whole."""
    fidelity: Fidelity = "bundle"
    """Whether it is the user's own simulation."""
    compared_to_s: float | None = None
    """Up to here it was compared with the user's own, second by second; None: it was not."""
    deviation: str | None = None
    """The first difference, where the user went on in spite of it."""
    sensitivity: Sensitivity | None = None
    """Where it depends on the order of addresses; None: it does not, or nobody looked."""


class BuildReport(WireModel):
    """What the builder did."""

    states: int
    rows: int
    replayed: int
    """States that do not continue exactly from their file and are brought back by a replay."""
    anchored: int = 0
    """Of these, the ones whose replay starts at an earlier state instead of the run's begin."""
    repeated: int = 0
    """States left out because an earlier run has them, too: the runs had not departed yet."""
    undecidable: dict[str, str] = Field(default_factory=dict)
    """Signals without a choice, by id, and why."""
    horizon_s: int
    extend_s: int


class Manifest(WireModel):
    """``manifest.json``."""

    format: Literal[2] = 2
    greenfork: str
    """Version of the program that built it."""
    simulator: Simulator
    scenario: ScenarioRef
    simulation: SimulationRef
    """The first of the runs."""
    simulations: tuple[SimulationRef, ...]
    """Every run that states were saved from."""
    signals: dict[str, Signal]
    build: BuildReport


class DatasetLayout:
    """Where the files of a dataset lie under its root folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.manifest = root / "manifest.json"
        self.scenario = root / "scenario"
        self.original = root / "original"
        self.states = root / "states"
        self.index = root / "states" / "index.jsonl"

    def rows(self, split: Literal["train", "eval"]) -> Path:
        """The rows of one split."""
        return self.root / f"{split}.jsonl"

    def state_file(self, state_id: str) -> Path:
        """The SUMO state file of a state."""
        return self.states / f"{state_id}.xml"

    def actions(self, run: str) -> Path:
        """What the behaviour policy of a run did."""
        return self.root / "actions" / f"{run}.jsonl"
