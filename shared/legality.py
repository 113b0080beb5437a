"""Whether a decision may be carried out at a signal in a state, and which ones may.

Owns the rules that need the signal's program and bounds. What a decision looks like is
:mod:`shared.decisions`, what it does in the simulation is not decided here.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import product
from typing import assert_never

from shared.decisions import (
    MAX_CYCLE_GREENS,
    MAX_GREEN_S,
    Cycle,
    CycleGreen,
    Decision,
    DecisionKind,
    Extend,
    NextPhase,
    Plan,
    PlanStep,
)
from shared.errors import InvalidDecision
from shared.signals import Signal, SignalState

__all__ = [
    "GREEN_GRID_S",
    "check_legality",
    "is_decision_point",
    "legal_decisions",
    "undecidable_reason",
]

GREEN_GRID_S = (5, 10, 15, 20, 30, 45, 60)
"""The greens among which *phase* decisions are enumerated, seconds."""

_CYCLE_SHORT_S, _CYCLE_LONG_S = 15, 30
_PLAN_STEPS = 3


def check_legality(decision: Decision, signal: Signal, state: SignalState) -> None:
    """Raises if ``decision`` breaks a rule.

    Raises:
        InvalidDecision: For any kind, ``nothing_to_decide`` where the program has fewer than two
            greens. For all but *cycle*, ``not_green`` where the current phase is no green. For
            *phase* and *cycle*, ``unknown_phase``, ``below_min_green`` and ``above_max_green``.
            For *cycle*, ``repeated_phase``, ``missing_phase`` and ``wrong_order``.
    """
    reason = undecidable_reason(signal, state.program_id)
    if reason is not None:
        raise InvalidDecision(
            f"signal {signal.tls_id} has nothing to decide: {reason}", "nothing_to_decide"
        )
    greens = _greens(signal, state.program_id)
    if isinstance(decision, Cycle):
        _check_cycle(decision, signal, greens)
        return
    if state.phase not in greens:
        raise InvalidDecision(
            f"phase {state.phase} of signal {signal.tls_id} is not a green phase", "not_green"
        )
    if isinstance(decision, NextPhase):
        _check_known(decision.next_phase, signal, greens)
        elapsed_s = state.elapsed_s if decision.next_phase == state.phase else 0
        _check_length(signal, decision.next_phase, decision.green_s, elapsed_s)


def is_decision_point(signal: Signal, state: SignalState) -> bool:
    """Whether both answers to "extend?" are open: a green runs, between its minimum and maximum.

    Never where the program has fewer than two greens: there is nothing to give way to.
    """
    return (
        undecidable_reason(signal, state.program_id) is None
        and state.phase in _greens(signal, state.program_id)
        and signal.min_green_s <= state.elapsed_s < signal.max_green_s
    )


def legal_decisions(
    kind: DecisionKind, signal: Signal, state: SignalState, extend_s: int
) -> tuple[Decision, ...]:
    """The decisions of one kind that are rolled out where every outcome is asked for.

    | kind | decisions |
    |---|---|
    | extend | *yes*, *no* |
    | phase | every green for each of :data:`GREEN_GRID_S`; for its minimum where none is legal |
    | cycle | all greens at 15 s, all at 30 s, and each one at 30 s with the others at 15 s |
    | plan | the eight plans of three steps |

    Seconds of a cycle are the legal ones nearest to those. All are legal and no two are the same.
    Empty where nothing of the kind is legal, as at a yellow for all kinds but *cycle*.

    Args:
        kind: The kind.
        signal: The signal.
        state: What it is doing.
        extend_s: Seconds a *yes* adds, and between the decision points of a plan.
    """
    greens = _greens(signal, state.program_id)
    if len(greens) < 2 or (kind != "cycle" and state.phase not in greens):
        return ()
    match kind:
        case "extend":
            return (Extend(extend=True, extend_s=extend_s), Extend(extend=False))
        case "phase":
            return tuple(_next_phases(signal, state, greens))
        case "cycle":
            return tuple(_cycles(signal, greens))
        case "plan":
            return tuple(_plans(extend_s))
    assert_never(kind)


def undecidable_reason(signal: Signal, program_id: str) -> str | None:
    """Why nothing can be decided at a signal that runs this program; None where something can."""
    if program_id not in signal.programs:
        return f"unknown program {program_id!r}"
    if signal.programs[program_id].kind == "nema":
        return "a NEMA controller runs it, whose phases cannot be set from outside"
    match len(_greens(signal, program_id)):
        case 0:
            return "no green phase"
        case 1:
            return "one green phase only"
    return None


def _greens(signal: Signal, program_id: str) -> tuple[int, ...]:
    program = signal.programs.get(program_id)
    return program.greens() if program else ()


def _check_cycle(cycle: Cycle, signal: Signal, greens: Sequence[int]) -> None:
    given = [green.phase for green in cycle.greens]
    for position, phase in enumerate(given):
        _check_known(phase, signal, greens)
        if phase in given[:position]:
            raise InvalidDecision(
                f"phase {phase} of signal {signal.tls_id} appears more than once in the cycle",
                "repeated_phase",
            )
    missing = [phase for phase in greens if phase not in given]
    if missing:
        raise InvalidDecision(
            f"the cycle of signal {signal.tls_id} lacks the green phases {_listed(missing)}",
            "missing_phase",
        )
    if given != list(greens):
        raise InvalidDecision(
            f"the green phases of signal {signal.tls_id} are in the order {_listed(given)}; its "
            f"program's order is {_listed(greens)}",
            "wrong_order",
        )
    for green in cycle.greens:
        _check_length(signal, green.phase, green.green_s)


def _check_known(phase: int, signal: Signal, greens: Sequence[int]) -> None:
    if phase not in greens:
        raise InvalidDecision(
            f"phase {str(phase)[:20]} of signal {signal.tls_id} is not a green phase of its "
            f"program; those are {_listed(greens)}",
            "unknown_phase",
        )


def _check_length(signal: Signal, phase: int, green_s: int, elapsed_s: float = 0) -> None:
    total_s = elapsed_s + green_s
    so_far = f" ({elapsed_s:g} s so far and {green_s} s more)" if elapsed_s else ""
    said = f"phase {phase} of signal {signal.tls_id} would be green for {total_s:g} s{so_far}"
    if green_s < signal.min_green_s - elapsed_s:
        raise InvalidDecision(
            f"{said}, less than its min_green_s of {signal.min_green_s:g} s", "below_min_green"
        )
    if green_s > signal.max_green_s - elapsed_s:
        raise InvalidDecision(
            f"{said}, more than its max_green_s of {signal.max_green_s:g} s", "above_max_green"
        )


def _listed(phases: Iterable[int]) -> str:
    return ", ".join(str(phase) for phase in phases)


def _legal_greens(signal: Signal, elapsed_s: float = 0) -> range:
    """The whole seconds for which a green may be asked that has lasted ``elapsed_s``."""
    shortest_s = max(1, math.ceil(signal.min_green_s - elapsed_s))
    longest_s = min(MAX_GREEN_S, math.floor(signal.max_green_s - elapsed_s))
    return range(shortest_s, longest_s + 1)


def _next_phases(signal: Signal, state: SignalState, greens: Sequence[int]) -> Iterator[NextPhase]:
    for phase in greens:
        legal = _legal_greens(signal, state.elapsed_s if phase == state.phase else 0)
        for green_s in [s for s in GREEN_GRID_S if s in legal] or legal[:1]:
            yield NextPhase(next_phase=phase, green_s=green_s)


def _cycles(signal: Signal, greens: Sequence[int]) -> Iterator[Cycle]:
    legal = _legal_greens(signal)
    if not legal or len(greens) > MAX_CYCLE_GREENS:
        return
    short_s, long_s = (
        min(max(green_s, legal[0]), legal[-1]) for green_s in (_CYCLE_SHORT_S, _CYCLE_LONG_S)
    )
    favoured = [(), tuple(greens), *((phase,) for phase in greens)] if short_s < long_s else [()]
    for longer in favoured:
        yield Cycle(
            greens=tuple(
                CycleGreen(phase=phase, green_s=long_s if phase in longer else short_s)
                for phase in greens
            )
        )


def _plans(extend_s: int) -> Iterator[Plan]:
    for answers in product((True, False), repeat=_PLAN_STEPS):
        yield Plan(steps=tuple(PlanStep(extend=yes) for yes in answers), extend_s=extend_s)
