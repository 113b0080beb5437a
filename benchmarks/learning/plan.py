"""What the proof consists of: decision points, runs, seeds, and what has to be reached.

The three families of decision points share no simulation: their seeds and their demands differ.
Settings were chosen on ``VALIDATION``; ``HELD_OUT`` was looked at by the program alone.
"""

from dataclasses import dataclass
from pathlib import Path

__all__ = ["FULL", "HELD_OUT", "QUICK", "VALIDATION", "Family", "Network", "Plan"]


@dataclass(frozen=True)
class Network:
    """A scenario and how many of its decision points are wanted."""

    config: str
    """As ``greenfork dataset build`` takes it."""
    states: int

    @property
    def name(self) -> str:
        """For folders.

        >>> Network("resco:cologne1", 400).name, Network("mine/crossing.sumocfg", 400).name
        ('cologne1', 'crossing')
        """
        return Path(self.config.removeprefix("resco:")).stem


@dataclass(frozen=True)
class Family:
    """Decision points of some networks; every seed runs with every demand."""

    name: str
    networks: tuple[Network, ...]
    seeds: tuple[int, ...]
    scales: tuple[float, ...]
    """Factors of the demand."""
    is_served: bool = False
    """Whether a service will bring the states back, which it should do from their files."""

    @property
    def runs(self) -> int:
        """Simulations that the points are taken from."""
        return len(self.networks) * len(self.seeds) * len(self.scales)

    def build(self, network: Network, root: Path, workers: int) -> tuple[str, ...]:
        """The arguments of the command that builds one network's part.

        Behaviour is random, so that all kinds of states come up; a decision is due every 5 s.

        Args:
            network: One of ``networks``.
            root: The folder of the family.
            workers: Simulations at a time.
        """
        seeds = [word for seed in self.seeds for word in ("--seed", str(seed))]
        scales = [word for scale in self.scales for word in ("--scale", str(scale))]
        return (
            *("dataset", "build", network.config, "--out", str(root / network.name)),
            *("--policy", "random", "--outcomes", "--eval-share", "0"),
            *("--states", str(network.states), *seeds, *scales, "--workers", str(workers)),
            *(() if self.is_served else ("--only-replays",)),
        )


@dataclass(frozen=True)
class Plan:
    """Everything that one run of the program does."""

    train: Family
    judged: Family
    """What policies are judged on."""
    unseen: Family
    """A network that nothing was trained on."""
    seeds: tuple[int, ...] = (1, 2, 3)
    """Of the GRPO runs; the control takes the first."""
    warm_start: tuple[str, ...] = ()
    """Settings over those of the preset ``warm-start``, ``name=value``."""
    best: tuple[str, ...] = ()
    """Likewise, of the training on best decisions."""
    offline: tuple[str, ...] = ()
    """Settings of the post-training on the outcomes that the rows hold."""
    grpo: tuple[str, ...] = ()
    """Settings over those of the preset ``small``."""


def _networks(states: int) -> tuple[Network, ...]:
    return (Network("resco:cologne1", states), Network("resco:ingolstadt1", states))


_TRAIN = Family("train", _networks(1000), (1, 2, 3, 4), (0.8, 1.0, 1.2), is_served=True)
VALIDATION = Family("validation", _networks(400), (51, 52, 53, 54), (0.85, 1.05, 1.25))
HELD_OUT = Family("held-out", _networks(700), (101, 102, 103, 104), (0.9, 1.1, 1.3))
_UNSEEN = Family("unseen", (Network("resco:cologne3", 120),), (101, 102), (0.9, 1.1))

FULL = Plan(_TRAIN, HELD_OUT, _UNSEEN, best=("lessons=20000", "learning_rate=5e-4"))

_CROSSING = "scenarios/crossing/crossing.sumocfg"
QUICK = Plan(
    Family("train", (Network(_CROSSING, 24),), (1, 2), (1.0,), is_served=True),
    Family("held-out", (Network(_CROSSING, 16),), (101, 102), (0.9,)),
    Family("unseen", (Network(_CROSSING, 8),), (101, 102), (1.1,)),
    seeds=(1,),
    warm_start=("lessons=64", "batch_size=16"),
    best=("lessons=32", "batch_size=16"),
    offline=("max_samples=8", "rce_epochs=1", "grpo_epochs=1"),
    grpo=("max_steps=2", "batch_size=8"),
)
"""Too small to learn anything: shows that the program runs."""
