"""What was to be seen during a rollout, second by second: ``"trace": true``.

Compact, because a minute of four hundred vehicles is a hundred thousand numbers: whoever draws it
looks ids up by their places.
"""

from typing import Annotated

from pydantic import Field

from shared.model import WireModel
from shared.wire.viewing.geometry import Box

__all__ = ["MAX_TRACED_S", "MAX_TRACES", "ShownTrace", "Trace"]

MAX_TRACES = 16
"""Rollouts that one request may have traced."""
MAX_TRACED_S = 1200
"""Their seconds together."""


class Trace(WireModel):
    """The surroundings of the decided signals from the state's moment to the horizon.

    Everything is as it was after each second; the first entry of each list is the moment itself.
    """

    time_s: float
    """The moment, seconds of simulated time."""
    box: Box
    """Where vehicles are told of: up to 250 m from the stop lines of the decided signals."""
    vehicles: tuple[str, ...]
    """Ids, in the order in which they were first seen."""
    lengths_dm: tuple[int, ...]
    """Of the same, decimetres."""
    frames: tuple[tuple[int, ...], ...]
    """Five whole numbers a vehicle, one vehicle after the other: its place in :attr:`vehicles`; x
    and y of the middle of its front, decimetres; its angle, degrees clockwise from north; its
    speed, decimetres a second."""
    omitted_veh: int
    """In the second with most of them, vehicles in the box that are not told of, because a frame
    holds at most 1,000; 0 almost always."""
    signals: dict[str, tuple[str, ...]]
    """By traffic light that has a stop line in the box, what it showed: SUMO's letters."""
    queue_veh: tuple[int, ...]
    """The queue after each second, without the moment itself: what the metrics are made of."""


ShownTrace = Annotated[Trace | None, Field(exclude_if=lambda trace: trace is None)]
"""One in a result that holds it where it was asked for, and says nothing of it elsewhere."""
