"""Controllers, by the names that a command line or a request gives."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from shared.errors import InputError
from sim_workers.controllers.controller import Controller
from sim_workers.controllers.look_ahead import LookAheadController, LookAheadSettings
from sim_workers.controllers.replayed import ReplayController, read_record
from sim_workers.controllers.rules import (
    ActuatedController,
    DelayBasedController,
    FixedController,
    RandomController,
    RuleController,
    SotlController,
)

__all__ = ["CONTROLLER_NAMES", "ControllerSpec", "find_controller"]

_REPLAY = "replay:"


@dataclass(frozen=True)
class ControllerSpec:
    """A controller that can be created for any number of episodes."""

    name: str
    make: Callable[[int], Controller]
    """Creates it, given the episode's seed."""


def find_controller(
    name: str,
    settings: LookAheadSettings = LookAheadSettings(),  # noqa: B008  frozen
) -> ControllerSpec:
    """The controller with a name.

    Args:
        name: One of :data:`CONTROLLER_NAMES`, or ``replay:FILE``.
        settings: Settings of ``look-ahead``.

    Raises:
        InputError: ``unknown_controller``; or as
            :func:`sim_workers.controllers.replayed.read_record`.
    """
    if name.startswith(_REPLAY):
        record = read_record(Path(name.removeprefix(_REPLAY)))
        return ControllerSpec(name, lambda seed: ReplayController(record))
    if name == "look-ahead":
        return ControllerSpec(name, lambda seed: LookAheadController(settings))
    if name not in _MAKERS:
        raise InputError(
            f"unknown controller {name[:80]!r}; choose from {', '.join(CONTROLLER_NAMES)} and "
            f"{_REPLAY}FILE",
            "unknown_controller",
        )
    return ControllerSpec(name, _MAKERS[name])


_MAKERS: dict[str, Callable[[int], Controller]] = {
    "fixed": lambda seed: FixedController(),
    "actuated": lambda seed: ActuatedController(),
    "delay-based": lambda seed: DelayBasedController(),
    "random": RandomController,
    "longest-queue": lambda seed: RuleController("longest_queue"),
    "greedy": lambda seed: RuleController("greedy"),
    "max-pressure": lambda seed: RuleController("max_pressure"),
    "sotl": lambda seed: SotlController(),
}
CONTROLLER_NAMES = (*_MAKERS, "look-ahead")
"""Controllers that need nothing but their name."""
