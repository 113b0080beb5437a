"""What to build: the options of a dataset, and the moments at which its states are looked for."""

import math
from dataclasses import dataclass

__all__ = ["BuildOptions", "Progress", "decision_slots"]

_DEFAULT_STATES = 100
_MIN_VERIFIED_S = 60


@dataclass(frozen=True)
class BuildOptions:
    """What to build. Times are seconds of simulated time."""

    seed: int | None = None
    """SUMO's seed; None takes the configuration's, or else SUMO's default."""
    begin_s: float | None = None
    """Begin of the simulation; None takes the configuration's."""
    end_s: float | None = None
    """No rollout runs beyond it; None takes the configuration's, or else an hour after begin."""
    warmup_s: float = 300.0
    """Nothing is saved for so long after begin."""
    every_s: float | None = None
    """Spacing of the states; None spreads them evenly."""
    states: int | None = None
    """How many states at most; None means 100, or with ``every_s`` as many as there is time for."""
    tls_ids: tuple[str, ...] = ()
    """The signals to decide; empty means all."""
    min_green_s: float = 5.0
    max_green_s: float = 60.0
    extend_s: int = 5
    """Seconds that a *yes* adds."""
    horizon_s: int = 60
    """Length of the rollouts behind ``outcomes``; proofs run at least 60 s."""
    with_outcomes: bool = False
    """Store the metrics of every legal decision in its row."""
    eval_share: float = 0.1
    """Share of the states, the last in time, that goes into ``eval.jsonl``."""

    @property
    def verified_s(self) -> int:
        """Seconds over which every kept state is proven."""
        return max(self.horizon_s, _MIN_VERIFIED_S)


@dataclass(frozen=True)
class Progress:
    """How far a build has come."""

    slots_done: int
    slots: int
    states: int
    passed_over: int


def decision_slots(
    begin_s: float, end_s: float, options: BuildOptions
) -> list[tuple[float, float]]:
    """The stretches of time that get one state each: ``(from, to)``, seconds, in order.

    Empty where warm-up and horizon leave no time.
    """
    first_s, last_s = begin_s + options.warmup_s, end_s - options.verified_s
    if last_s < first_s:
        return []
    limit = options.states
    if options.every_s is not None:
        every_s = options.every_s
        count = int((last_s - first_s) // every_s) + 1
        limit = count if limit is None else min(limit, count)
    else:
        limit = _DEFAULT_STATES if limit is None else limit
        every_s = max(1.0, math.floor((last_s - first_s) / limit))
        limit = min(limit, int((last_s - first_s) // every_s) + 1)
    starts = [first_s + index * every_s for index in range(limit)]
    return [(start, min(start + every_s, last_s + 1)) for start in starts]
