"""The rules of benchmarks: how signals are controlled, and which defaults SUMO had."""

from dataclasses import dataclass

from shared.wire.episodes import PRESETS, EpisodeControl, YellowTransition

__all__ = ["Protocol", "protocol_of"]


@dataclass(frozen=True)
class Protocol:
    """The rules of a benchmark."""

    control: EpisodeControl
    arguments: tuple[str, ...] = ()
    """Arguments for SUMO: the defaults of the version that the benchmark used."""


def protocol_of(name: str, scenario: str) -> Protocol:
    """The protocol with a name: ``resco``, ``sumo-rl`` or ``program``.

    Args:
        name: The name.
        scenario: The scenario's name: RESCO decides more often in ``arterial4x4`` than in others.
    """
    if name != "resco":
        return Protocol(PRESETS[name])
    control = PRESETS["resco"]
    if scenario == "arterial4x4":
        faster = {"interval_s": 5, "min_green_s": 3, "transition": YellowTransition(yellow_s=2)}
        control = control.model_copy(update=faster)
    return Protocol(control, ("--default.departspeed=0", "--default.departlane=first"))
