"""Which runs there are, and in which order: what is cheap first. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from benchmarks.resco.published import NETWORKS
from sim_workers.controllers.making import CONTROLLER_NAMES

__all__ = ["LARGE", "LOOK_AHEAD", "Job", "Selection", "jobs_of"]

LOOK_AHEAD = "look-ahead"
LARGE = ("ingolstadt21", "grid4x4", "arterial4x4")
"""Where an hour of look-ahead is tens of thousands of rollouts."""


@dataclass(frozen=True)
class Job:
    """One run of an hour."""

    network: str
    controller: str
    seed: int


@dataclass(frozen=True)
class Selection:
    """What is to be run."""

    networks: tuple[str, ...] = NETWORKS
    controllers: tuple[str, ...] = CONTROLLER_NAMES
    seeds: int = 10
    """The seeds from 1 on."""
    large_seeds: int = 3
    """As many for look-ahead on the large networks."""


def jobs_of(selection: Selection) -> Iterator[Job]:
    """The runs, in order.

    First every network under the controllers that only look at what is there, seed after seed, so
    that a table of few seeds is whole before one of many begins; then look-ahead on the smaller
    networks; then on the large ones.
    """
    cheap = [name for name in selection.controllers if name != LOOK_AHEAD]
    yield from _seed_after_seed(selection.networks, cheap, selection.seeds)
    if LOOK_AHEAD in selection.controllers:
        small = [name for name in selection.networks if name not in LARGE]
        large = [name for name in selection.networks if name in LARGE]
        yield from _seed_after_seed(small, [LOOK_AHEAD], selection.seeds)
        yield from _seed_after_seed(
            large, [LOOK_AHEAD], min(selection.seeds, selection.large_seeds)
        )


def _seed_after_seed(
    networks: Sequence[str], controllers: Sequence[str], seeds: int
) -> Iterator[Job]:
    for seed in range(1, seeds + 1):
        for network in networks:
            for controller in controllers:
                yield Job(network, controller, seed)
