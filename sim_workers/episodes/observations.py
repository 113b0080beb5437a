"""What an agent gets to see of a signal, and what it is rewarded with. Pure."""

from collections.abc import Mapping
from functools import reduce
from operator import add
from typing import NamedTuple

from shared.decisions import MAX_GREEN_S
from shared.language.prompts import LaneCounts, build_prompt, show_phase_prompt
from shared.rewards import pressure, queue, wait
from shared.signals import Signal, SignalState
from shared.wire.episodes import (
    EpisodeControl,
    EpisodeReward,
    EpisodeTerm,
    ExtendControl,
    ShowPhase,
    SignalObservation,
)
from sim_workers.engine.episodes.messages import SignalSample, SignalSeen

__all__ = ["Feature", "feature_table", "features", "observe", "reward_of_step", "with_bounds"]


class Feature(NamedTuple):
    """A number of a feature vector."""

    name: str
    meaning: str
    unit: str
    low: float
    high: float


_OF_SIGNAL = (
    Feature("elapsed_s", "how long the phase has been shown", "s", 0, float("inf")),
    Feature("is_open", "whether any decision other than to continue is legal", "0 or 1", 0, 1),
)
_OF_PHASE = (
    Feature("shown", "whether the phase is shown", "0 or 1", 0, 1),
    Feature("legal", "whether it may be shown next", "0 or 1", 0, 1),
    Feature(
        "queued", "standing vehicles on its lanes (below 0.1 m/s)", "vehicles", 0, float("inf")
    ),
    Feature("approaching", "moving vehicles on its lanes", "vehicles", 0, float("inf")),
    Feature(
        "passed",
        "vehicles that left its lanes during its latest green",
        "vehicles",
        0,
        float("inf"),
    ),
    Feature("wait_s", "total waiting time on its lanes", "s", 0, float("inf")),
    Feature("exit_veh", "vehicles on the lanes it leads to", "vehicles", 0, float("inf")),
)


def feature_table(greens: tuple[int, ...]) -> tuple[Feature, ...]:
    """The numbers of a signal's feature vector, in order.

    Args:
        greens: The green phases of its program, in order.

    >>> [one.name for one in feature_table((0, 2))][:4]
    ['elapsed_s', 'is_open', 'phase0_shown', 'phase0_legal']
    """
    per_phase = [
        one._replace(name=f"phase{green}_{one.name}") for green in greens for one in _OF_PHASE
    ]
    return (*_OF_SIGNAL, *per_phase)


def features(seen: SignalSeen) -> dict[str, float]:
    """The numbers by name, in the order of :func:`feature_table`.

    Under ``extend`` a phase is legal next if some decision leads to it: the current one by *yes*.
    """
    legal = {one.next_phase for one in seen.legal if isinstance(one, ShowPhase)}
    if seen.legal and not legal:
        legal = {seen.phase}
    is_open = len(seen.legal) > 1 or bool(legal - {seen.phase})
    found = {"elapsed_s": seen.elapsed_s, "is_open": float(is_open)}
    for green, counts in seen.counts.items():
        values = (
            *(green == seen.phase, green in legal, counts.queued, counts.approaching),
            *(counts.passed, counts.wait_s, counts.exit_veh),
        )
        for one, value in zip(_OF_PHASE, values, strict=True):
            found[f"phase{green}_{one.name}"] = float(value)
    return found


def with_bounds(signal: Signal, control: EpisodeControl) -> Signal:
    """The signal with the bounds of its greens that a control keeps."""
    max_green_s = control.max_green_s
    bounds = {
        "min_green_s": control.min_green_s,
        "max_green_s": float(MAX_GREEN_S) if max_green_s is None else max_green_s,
    }
    return signal.model_copy(update=bounds)


def observe(
    signal: Signal,
    program_id: str,
    seen: SignalSeen,
    control: EpisodeControl,
    wanted: tuple[str, ...],
) -> SignalObservation:
    """What an answer says of a signal.

    Args:
        signal: The signal, with the bounds of the control.
        program_id: Its own program.
        seen: What it is doing.
        control: How it is steered.
        wanted: ``prompt``, ``features``, both or neither.
    """
    prompt = None
    if "prompt" in wanted and seen.legal:
        state = SignalState(program_id=program_id, phase=seen.phase, elapsed_s=seen.elapsed_s)
        counts = {
            phase: LaneCounts(queued=one.queued, approaching=one.approaching, passed=one.passed)
            for phase, one in seen.counts.items()
        }
        interval_s = control.interval_s
        if isinstance(control, ExtendControl):
            prompt = build_prompt("extend", signal, state, counts, interval_s)
        else:
            prompt = show_phase_prompt(signal, state, counts, interval_s)
    return SignalObservation(
        current_phase=seen.phase,
        elapsed_green_s=seen.elapsed_s,
        legal=seen.legal,
        prompt=prompt,
        features=features(seen) if "features" in wanted else None,
    )


def reward_of_step(
    spec: EpisodeReward, sample: SignalSample, delay_veh: float | None, is_invalid: bool
) -> float | None:
    """A signal's reward for a step; None where a term is undefined.

    Args:
        spec: Which reward.
        sample: Means over the step.
        delay_veh: The network's, where it is a term.
        is_invalid: Whether its decision was invalid.

    >>> reward_of_step(EpisodeReward(name="queue"), SignalSample(queue_veh=2.5), None, False)
    -2.5
    """
    weights = spec.terms or dict.fromkeys(spec.names(), 1.0)
    values = []
    for name in spec.names():
        value = _term(name, sample, delay_veh)
        if value is None:
            return None
        values.append(value if spec.terms is None else weights[name] * value)
    penalty = spec.invalid_reward if is_invalid else 0.0
    return reduce(add, values, penalty)


def _term(name: EpisodeTerm, sample: SignalSample, delay_veh: float | None) -> float | None:
    match name:
        case "delay":
            return None if delay_veh is None else 0.0 - delay_veh
        case "queue":
            return queue(sample.queue_veh)
        case "wait":
            return wait(sample.wait_s)
        case "pressure":
            return pressure(sample.pressure_veh)
        case "speed":
            return sample.speed_mps


def mean_reward_of(rewards: Mapping[str, float | None]) -> float | None:
    """The mean over signals; None where there is none, or one is undefined."""
    known = [value for value in rewards.values() if value is not None]
    if not known or len(known) < len(rewards):
        return None
    return sum(known) / len(known)
