"""What to build: the options of a dataset, its runs, and when to look for their states.

Pure: neither simulates nor touches a file.
"""

import math
from dataclasses import dataclass, replace
from itertools import product
from typing import NamedTuple

from shared.decisions import DecisionKind
from shared.wire.states import StateRecord
from sim_workers.engine.policies import PolicySpec

__all__ = ["BuildOptions", "Execution", "Progress", "Run", "Slot", "decision_slots", "plan_runs"]

_DEFAULT_STATES = 100
_MIN_VERIFIED_S = 60


@dataclass(frozen=True)
class BuildOptions:
    """What to build; together with the scenario, this determines every byte of the dataset.

    Times are seconds of simulated time.
    """

    seeds: tuple[int, ...] = ()
    """SUMO's seeds, one run each; empty takes the configuration's, or else SUMO's default."""
    scales: tuple[float, ...] = (1.0,)
    """Factors of the scenario's demand; one run for each with every seed."""
    policy: PolicySpec = PolicySpec()  # noqa: RUF009  immutable
    """What controls the signals while states are collected."""
    begin_s: float | None = None
    """Begin of the simulation; None takes the configuration's."""
    end_s: float | None = None
    """No rollout goes beyond it; None takes the configuration's, or else an hour after begin."""
    warmup_s: float = 300.0
    """Seconds after begin during which no state is saved."""
    every_s: float | None = None
    """Spacing of the states of a run; None spreads them evenly."""
    states: int | None = None
    """Maximum number of states in all runs together; None means 100, or with ``every_s`` as many
    as there is time for."""
    tls_ids: tuple[str, ...] = ()
    """The signals to decide; empty means all with something to decide."""
    kind: DecisionKind = "extend"
    """The kind of decision that the rows ask for."""
    min_green_s: float = 5.0
    max_green_s: float = 60.0
    extend_s: int = 5
    """Seconds that a *yes* adds."""
    horizon_s: int = 60
    """Length of the rollouts behind ``outcomes``; proofs cover at least 60 s."""
    with_outcomes: bool = False
    """Store the metrics of every legal decision in its row."""
    only_replays: bool = False
    """Restore every state by a replay and prove no files; takes less than half the time."""
    eval_share: float = 0.1
    """Share of each run's states, the last in time, that goes into ``eval.jsonl``."""

    @property
    def verified_s(self) -> int:
        """Seconds over which every state that is restored from a file is proven."""
        return max(self.horizon_s, _MIN_VERIFIED_S)


@dataclass(frozen=True)
class Execution:
    """How to build; does not affect what is built."""

    workers: int | None = None
    """Number of runs simulated at the same time; None means one per CPU."""
    restart: bool = False
    """Discard what an interrupted build has left instead of resuming it."""
    allow_deviation: bool = False
    """Continue even if the simulation differs from the user's own; the deviation is recorded."""


@dataclass(frozen=True)
class Progress:
    """The progress of a build, over all runs."""

    slots_done: int
    """Time slots that are finished, whether or not they had a decision point."""
    slots: int
    from_file: int = 0
    """States that are restored exactly from their own file."""
    from_anchor: int = 0
    """States that are replayed from an earlier one."""
    from_begin: int = 0
    """States that are replayed from the begin of their run."""
    resumed: int = 0
    """States that an interrupted build had left."""
    compared: int = 0
    """Runs that were compared with the user's own simulation."""
    runs: int = 0

    @property
    def states(self) -> int:
        """States found so far; a state common to two runs counts twice."""
        return self.from_file + self.from_anchor + self.from_begin

    def with_slot(self, record: StateRecord | None) -> "Progress":
        """The progress after another slot, with the state that it yielded or without one."""
        further = replace(self, slots_done=self.slots_done + 1)
        if record is None:
            return further
        if record.restore == "state":
            return replace(further, from_file=self.from_file + 1)
        if record.anchor is not None:
            return replace(further, from_anchor=self.from_anchor + 1)
        return replace(further, from_begin=self.from_begin + 1)


class Slot(NamedTuple):
    """A span of simulated time that gets one state, seconds; ``to_s`` is exclusive."""

    from_s: float
    to_s: float


@dataclass(frozen=True)
class Run:
    """One uninterrupted simulation of the scenario, and when to look for its states."""

    seed: int
    scale: float
    policy: PolicySpec
    slots: tuple[Slot, ...]

    @property
    def name(self) -> str:
        """A name for files, unique in its dataset.

        >>> Run(7, 1.0, PolicySpec(), ()).name, Run(7, 1.2, PolicySpec(name="random"), ()).name
        ('seed7', 'seed7-scale1.2-random')
        """
        scale = "" if self.scale == 1 else f"-scale{repr(self.scale).removesuffix('.0')}"
        policy = "" if self.policy.is_idle else f"-{self.policy.label}"
        return f"seed{self.seed}{scale}{policy}"


def plan_runs(begin_s: float, end_s: float, seed: int, options: BuildOptions) -> list[Run]:
    """The runs of a dataset, seed by seed; none without a slot.

    States are divided evenly; the remainder goes to the first runs.

    Args:
        begin_s: Begin of the scenario.
        end_s: No rollout goes beyond it.
        seed: The seed if the options name none.
        options: What to build.
    """
    seeds = dict.fromkeys(options.seeds or (seed,))
    settings = list(product(seeds, dict.fromkeys(options.scales)))
    states = options.states
    if states is None and options.every_s is None:
        states = _DEFAULT_STATES
    runs = []
    for index, (seed, scale) in enumerate(settings):
        share = None if states is None else (states + len(settings) - 1 - index) // len(settings)
        if slots := decision_slots(begin_s, end_s, replace(options, states=share)):
            runs.append(Run(seed, scale, options.policy, tuple(slots)))
    return runs


def decision_slots(begin_s: float, end_s: float, options: BuildOptions) -> list[Slot]:
    """The time slots of one run, which get one state each, in order.

    Empty if warm-up and horizon leave no time.
    """
    first_s, last_s = begin_s + options.warmup_s, end_s - options.verified_s
    if last_s < first_s or options.states == 0:
        return []
    limit, every_s = options.states, options.every_s
    if every_s is None:
        limit = _DEFAULT_STATES if limit is None else limit
        every_s = max(1.0, math.floor((last_s - first_s) / limit))
    count = int((last_s - first_s) // every_s) + 1
    limit = count if limit is None else min(limit, count)
    starts = [first_s + index * every_s for index in range(limit)]
    return [Slot(start, min(start + every_s, last_s + 1)) for start in starts]
