"""Which signals of a network a dataset decides."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from shared.errors import ScenarioError, UnknownSignal
from shared.legality import undecidable_reason
from shared.signals import Signal

__all__ = ["SignalChoice", "choose_signals"]


@dataclass(frozen=True)
class SignalChoice:
    """The signals of a network, sorted out."""

    decided: tuple[Signal, ...]
    undecidable: dict[str, str]
    """Those left out because there is nothing to decide, by id, and why."""


def choose_signals(
    signals: Mapping[str, Signal], programs: Mapping[str, str], tls_ids: Sequence[str]
) -> SignalChoice:
    """The signals to decide: those asked for, or all that have a choice to make.

    Args:
        signals: Every signal of the network, by id.
        programs: The program that each runs.
        tls_ids: Those asked for; empty means all.

    Raises:
        ScenarioError: ``no_signal`` where the network has none; ``nothing_to_decide`` where none of
            them, or one that was asked for, has a choice.
        UnknownSignal: One that was asked for is not in the network.
    """
    if not signals:
        raise ScenarioError(
            "the network has no traffic light, so there is nothing to decide", "no_signal"
        )
    for tls_id in tls_ids:
        if tls_id not in signals:
            raise UnknownSignal(
                f"the network has no signal {tls_id!r}; it has {', '.join(sorted(signals))}"
            )
    reasons = {tls_id: _reason(signals[tls_id], programs[tls_id]) for tls_id in signals}
    undecidable = {tls_id: why for tls_id, why in sorted(reasons.items()) if why is not None}
    chosen = tls_ids or [tls_id for tls_id in sorted(signals) if tls_id not in undecidable]
    hopeless = undecidable.keys() & chosen if chosen else undecidable.keys()
    if hopeless:
        said = "; ".join(f"{tls_id}: {undecidable[tls_id]}" for tls_id in sorted(hopeless))
        raise ScenarioError(f"there is nothing to decide at {said}", "nothing_to_decide")
    return SignalChoice(tuple(signals[tls_id] for tls_id in dict.fromkeys(chosen)), undecidable)


def _reason(signal: Signal, program_id: str) -> str | None:
    """Why nothing will be decided at a signal; one that is off may run any program later."""
    reason = undecidable_reason(signal, program_id)
    if program_id in signal.programs:
        return reason
    later = [undecidable_reason(signal, each) for each in signal.programs]
    return None if None in later else reason
