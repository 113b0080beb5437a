"""Which rows each step's batch holds: all domains equally, difficulties by the schedule.

Pure: a batch depends only on the seed, the step and the length of the run, so that a resumed run
needs to know nothing but its step.
"""

import math
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from shared.errors import ConfigError, DatasetError
from trainer.curriculum.buckets import LEVELS, DomainBuckets, Level, effective_weights
from trainer.curriculum.schedule import DEFAULT_SCHEDULE, CurriculumPhase, get_curriculum_weights

__all__ = ["BatchShape", "Curriculum", "check_balance", "check_plenty", "level_counts"]

_GOLDEN = (math.sqrt(5) - 1) / 2
"""Its multiples modulo 1 cover the unit interval evenly, however many are taken."""


@dataclass(frozen=True)
class BatchShape:
    """The size of an optimizer step."""

    batch_size: int
    """Completions per forward pass on one rank."""
    gradient_accumulation_steps: int
    num_generations: int
    """Completions per prompt."""
    ranks: int = 1

    @property
    def prompts(self) -> int:
        """Prompts per step, over all ranks."""
        return self._completions_per_unit * self.batch_size // self.num_generations

    @property
    def _completions_per_unit(self) -> int:
        return self.gradient_accumulation_steps * self.ranks

    def balanced_batch_size(self, domains: int) -> int:
        """The smallest ``batch_size`` that can hold the same number of samples of each domain."""
        everywhere = self.num_generations * domains
        one_rank = self.num_generations
        return math.lcm(
            everywhere // math.gcd(everywhere, self._completions_per_unit),
            one_rank // math.gcd(one_rank, self.gradient_accumulation_steps),
        )


@dataclass(frozen=True)
class Curriculum:
    """The batches of a run."""

    buckets: tuple[DomainBuckets, ...]
    prompts: int
    """Prompts per step, a multiple of the number of domains; see :func:`check_balance`."""
    max_steps: int
    seed: int = 0
    schedule: Sequence[CurriculumPhase] = DEFAULT_SCHEDULE

    def weights(self, step: int) -> dict[Level, float]:
        """The schedule's weights for a step, counted from 0."""
        return get_curriculum_weights(step, self.max_steps, self.schedule)

    def batches(self) -> Iterator[list[int]]:
        """The rows of every step, in order; domains alternate.

        Within each bucket, every row is drawn once before any is drawn again, in an order that is
        reshuffled for each pass.
        """
        decks = {
            (domain.domain, level): _Deck(
                domain.rows[level], f"{self.seed}/{domain.domain}/{level}"
            )
            for domain in self.buckets
            for level in LEVELS
        }
        for step in range(self.max_steps):
            drawn = [
                [
                    row
                    for level, count in self._counts(domain, step).items()
                    for row in decks[domain.domain, level].draw(count)
                ]
                for domain in self.buckets
            ]
            yield [row for rows in zip(*drawn, strict=True) for row in rows]

    def _counts(self, domain: DomainBuckets, step: int) -> dict[Level, int]:
        start = _stream(f"{self.seed}/{domain.domain}").random()
        return level_counts(
            effective_weights(self.weights(step), domain.sizes),
            self.prompts // len(self.buckets),
            (start + step * _GOLDEN) % 1,
        )


def check_balance(shape: BatchShape, domains: int) -> None:
    """Checks that a step can hold the same number of samples of every domain.

    Args:
        shape: The size of a step.
        domains: Number of domains.

    Raises:
        ConfigError: It cannot; the message names batch sizes that can.
    """
    if domains and shape.prompts % domains == 0 and shape.prompts:
        return
    smallest = shape.balanced_batch_size(domains)
    sizes = ", ".join(str(smallest * times) for times in (1, 2, 3, 4))
    ranks = f" on {shape.ranks} ranks" if shape.ranks > 1 else ""
    raise ConfigError(
        f"a step of {shape.prompts} prompts (batch_size {shape.batch_size} x "
        f"gradient_accumulation_steps {shape.gradient_accumulation_steps}{ranks} / num_generations "
        f"{shape.num_generations}) cannot contain the same number from each of {domains} domains; "
        f"batch_size can be {sizes} and so on"
    )


def check_plenty(shape: BatchShape, buckets: Sequence[DomainBuckets]) -> None:
    """Checks that every domain has as many rows as a step takes from it.

    Raises:
        DatasetError: A step would contain a row of some domain twice.
    """
    share = shape.prompts // max(1, len(buckets))
    for domain in buckets:
        if (rows := sum(domain.sizes.values())) < share:
            raise DatasetError(
                f"the domain {domain.domain!r} has {rows} rows, but a step needs {share} of each: "
                "build more of its states, remove it, or lower batch_size"
            )


def level_counts(weights: Mapping[Level, float], samples: int, offset: float) -> dict[Level, int]:
    """Divides samples among levels by weight, using systematic sampling.

    One point per sample, equally spaced, is laid over the cumulative weights; each level gets the
    points that fall within its segment. Every level is within one sample of its exact share, and
    averaged over offsets spread evenly from 0 to 1 the shares are exact.

    Args:
        weights: By level, adding up to 1.
        samples: Number of samples to divide up.
        offset: Where the first point falls, in [0, 1).

    >>> level_counts({"easy": 0.5, "medium": 0.3, "hard": 0.2}, samples=5, offset=0.0)
    {'easy': 3, 'medium': 1, 'hard': 1}
    """
    counts = dict.fromkeys(LEVELS, 0)
    present = [level for level in LEVELS if weights[level] > 0]
    for point in range(samples):
        place = (point + offset) / samples
        reached = 0.0
        for level in present:
            reached += weights[level]
            if place < reached or level == present[-1]:
                counts[level] += 1
                break
    return counts


class _Deck:
    """Deals rows in shuffled order, reshuffling after each pass.

    Args:
        rows: At least one if any is ever drawn.
        name: Seeds the shuffles.
    """

    def __init__(self, rows: Sequence[int], name: str) -> None:
        self._rows = rows
        self._name = name
        self._drawn = 0
        self._order: list[int] = []

    def draw(self, count: int) -> list[int]:
        """The next rows; none is repeated as long as there are enough of them."""
        found: list[int] = []
        for at in range(self._drawn, self._drawn + count):
            time_around, place = divmod(at, len(self._rows))
            if place == 0:
                shuffled = _stream(f"{self._name}/{time_around}")
                order = shuffled.sample(self._rows, len(self._rows))
                self._order = sorted(order, key=found.__contains__)
            found.append(self._order[place])
        self._drawn += count
        return found


def _stream(name: str) -> random.Random:
    """Random numbers that are the same in every process."""
    return random.Random(name)  # noqa: S311 - an order of rows, not a secret
