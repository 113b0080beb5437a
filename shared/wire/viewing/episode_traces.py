"""What was to be seen in a part of an episode: ``GET /v1/episodes/{episode_id}/trace``."""

from shared.model import WireModel
from shared.wire.viewing.geometry import Box

__all__ = ["MAX_EPISODE_TRACED_S", "EpisodeFrames", "EpisodeTrace"]

MAX_EPISODE_TRACED_S = 300
"""The longest span of one answer, seconds of simulated time."""


class EpisodeFrames(WireModel):
    """Vehicles, signals and queues from one moment of an episode to another.

    Everything is as it was at each of :attr:`times_s`.
    """

    times_s: tuple[float, ...]
    """Seconds of simulated time: the begin of the span, and each whole second up to its end."""
    box: Box
    """Where vehicles, signals and lanes are told of: the network, or up to 250 m from the stop
    lines of one traffic light."""
    vehicles: tuple[str, ...]
    """Ids, in the order in which they were first seen."""
    lengths_dm: tuple[int, ...]
    """Of the same, decimetres."""
    frames: tuple[tuple[int, ...], ...]
    """As in :attr:`shared.wire.viewing.traces.Trace.frames`."""
    omitted_veh: int
    """In the second with most of them, vehicles in the box that are not told of, because a frame
    holds at most 1,000; 0 almost always."""
    signals: dict[str, tuple[str, ...]]
    """By traffic light that has a stop line in the box, what it showed: SUMO's letters."""
    lanes: tuple[str, ...]
    """Lanes that end in the box and on which a vehicle stood, in the order in which one was first
    seen."""
    queues: tuple[tuple[int, ...], ...]
    """Two whole numbers a lane on which vehicles stand: its place in :attr:`lanes`, and how many
    are slower than 0.1 m/s."""


class EpisodeTrace(EpisodeFrames):
    """The same, and what it is a part of."""

    episode_id: str
    tls_id: str | None
    """The traffic light whose surroundings are shown; null: the whole network."""
    first_step: int
    """The number of the step in which the span begins."""
    steps: int
    """So many steps, from that one on, were repeated under watch; their answers equal those on
    record."""
