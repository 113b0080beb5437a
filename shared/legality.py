"""Whether a decision may be carried out at a signal in a state."""

from shared.decisions import Decision, Extend
from shared.errors import InvalidDecision
from shared.signals import Signal, SignalState

__all__ = ["check_legality", "is_decision_point", "legal_decisions"]


def check_legality(decision: Decision, signal: Signal, state: SignalState) -> None:
    """Raises if ``decision`` breaks a rule.

    Raises:
        InvalidDecision: ``not_green`` where the current phase is no green, so that there is
            nothing to extend or to end.
    """
    program = signal.programs[state.program_id]
    if not program.phases[state.phase].is_green:
        raise InvalidDecision(
            f"phase {state.phase} of signal {signal.tls_id} is not a green phase", "not_green"
        )


def is_decision_point(signal: Signal, state: SignalState) -> bool:
    """Whether both answers to "extend?" are open: a green runs, between its minimum and maximum."""
    program = signal.programs[state.program_id]
    return (
        len(program.phases) > 1
        and program.phases[state.phase].is_green
        and signal.min_green_s <= state.elapsed_s < signal.max_green_s
    )


def legal_decisions(extend_s: int) -> tuple[Decision, ...]:
    """Every decision that is legal at a decision point, *yes* first."""
    return (Extend(extend=True, extend_s=extend_s), Extend(extend=False))
