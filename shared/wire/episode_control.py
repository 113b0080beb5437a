"""How the signals of an episode are steered."""

from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, FiniteFloat, StrictInt, model_validator

from shared.decisions import MAX_GREEN_S
from shared.model import WireModel

__all__ = [
    "PRESETS",
    "EpisodeControl",
    "ExtendControl",
    "PhaseControl",
    "ProgramTransition",
    "YellowTransition",
    "is_yellow",
]


class ProgramTransition(WireModel):
    """Between two greens the program's own clearance is shown: the phases up to the next green."""

    kind: Literal["program"] = "program"


class YellowTransition(WireModel):
    """Between two greens each link that loses its green shows yellow, for the same time."""

    kind: Literal["yellow"] = "yellow"
    yellow_s: StrictInt = Field(default=3, ge=1, le=60)
    """Seconds of yellow, part of the interval."""


Transition = Annotated[ProgramTransition | YellowTransition, Field(discriminator="kind")]


class ExtendControl(WireModel):
    """Each decision keeps the current green for a while or ends it, in the program's order."""

    kind: Literal["extend"] = "extend"
    interval_s: StrictInt = Field(default=5, ge=1, le=MAX_GREEN_S)
    """Seconds between decisions, and added by a *yes*."""
    min_green_s: FiniteFloat = Field(default=5, ge=0, le=MAX_GREEN_S)
    """No green is ended by a decision before it has lasted this long, seconds."""
    max_green_s: FiniteFloat = Field(default=60, gt=0, le=MAX_GREEN_S)
    """No green is extended beyond this, seconds."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.min_green_s > self.max_green_s:
            raise ValueError("min_green_s is above max_green_s")
        return self


class PhaseControl(WireModel):
    """Each decision chooses freely which green is shown, until a later one changes it."""

    kind: Literal["phase"] = "phase"
    interval_s: StrictInt = Field(default=10, ge=1, le=MAX_GREEN_S)
    """Seconds between decisions, the transition included."""
    min_green_s: FiniteFloat = Field(default=7, ge=0, le=MAX_GREEN_S)
    """No green is left before it has lasted this long, seconds."""
    max_green_s: FiniteFloat | None = Field(default=None, gt=0, le=MAX_GREEN_S)
    """A green that would last longer is left at the decision before, seconds. None: no bound."""
    transition: Transition = YellowTransition()

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        shortest_s = max(self.min_green_s, self.interval_s)
        if self.max_green_s is not None and self.max_green_s < shortest_s:
            raise ValueError("max_green_s is below min_green_s or interval_s")
        yellow_s = getattr(self.transition, "yellow_s", 0)
        if yellow_s >= self.interval_s:
            raise ValueError("yellow_s must be below interval_s, which includes it")
        return self


PRESETS: dict[str, ExtendControl | PhaseControl] = {
    "resco": PhaseControl(interval_s=10, min_green_s=7, transition=YellowTransition(yellow_s=3)),
    "sumo-rl": PhaseControl(interval_s=5, min_green_s=5, transition=YellowTransition(yellow_s=2)),
    "program": ExtendControl(interval_s=5, min_green_s=5, max_green_s=60),
}
"""Controls by the name of the benchmark whose rules they are."""


def _preset(value: object) -> object:
    """Puts the control that ``{"preset": name}`` names in its place."""
    if not (isinstance(value, dict) and "preset" in value):
        return value
    if value.keys() != {"preset"}:
        raise ValueError("a preset takes no other keys; write the control out to change it")
    if not isinstance(value["preset"], str) or value["preset"] not in PRESETS:
        raise ValueError(f"unknown preset; there are {', '.join(PRESETS)}")
    return PRESETS[value["preset"]]


EpisodeControl = Annotated[
    ExtendControl | PhaseControl, Field(discriminator="kind"), BeforeValidator(_preset)
]
"""How signals are steered; on the wire also ``{"preset": "resco" | "sumo-rl" | "program"}``."""


def is_yellow(control: EpisodeControl | None) -> bool:
    """Whether signals are driven by the states of their links, which no state file restores."""
    return isinstance(control, PhaseControl) and isinstance(control.transition, YellowTransition)
