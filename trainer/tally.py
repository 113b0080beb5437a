"""What a run counts about its rewards, and when it has met too many failures to go on.

Pure bookkeeping: talks to nobody. The reward functions feed it; the metrics, the progress line, the
report and the stop of a run are read from it.
"""

from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

__all__ = [
    "BatchCounts",
    "FailureLimit",
    "StopFlag",
    "Tally",
    "group_numbers",
    "zero_variance_share",
]


class StopFlag:
    """Set once, when a run should end itself; a callback looks at it after each step."""

    def __init__(self) -> None:
        self.reason: str | None = None

    def set(self, reason: str) -> None:
        """Asks for the end; the first reason is kept."""
        if self.reason is None:
            self.reason = reason


class FailureLimit:
    """Whether more than a share of the last items failed.

    A window that is not full yet counts its missing items as good, so that one early failure does
    not end a run.

    >>> limit = FailureLimit(share=0.5, window=4)
    >>> limit.exceeded_by([True, True]), limit.exceeded_by([True])
    (False, True)
    """

    def __init__(self, share: float, window: int) -> None:
        self.share = share
        self.window = window
        self._failed: deque[bool] = deque(maxlen=window)

    def exceeded_by(self, failed: Sequence[bool]) -> bool:
        """Takes the outcomes of some items; tells whether the limit was exceeded at any of them."""
        exceeded = False
        for one in failed:
            self._failed.append(one)
            exceeded = exceeded or sum(self._failed) > self.share * self.window
        return exceeded


@dataclass(frozen=True)
class BatchCounts:
    """One batch in numbers."""

    items: int
    invalid: Mapping[str, int]
    """By code."""
    failed: Mapping[str, int]
    """By code."""
    cached: int = 0
    yes: int = 0
    decided: int = 0
    """Completions that a decision could be read from."""
    zero_variance: float | None = None
    """Share of the whole groups whose rewards are all equal; None where there was no group."""
    reward: float | None = None
    """Mean weighted reward of what did not fail."""

    @property
    def invalid_items(self) -> int:
        """Completions that no legal decision could be read from."""
        return sum(self.invalid.values())

    @property
    def failed_items(self) -> int:
        """Completions that got no reward."""
        return sum(self.failed.values())


@dataclass
class Tally:
    """Counts of a whole run."""

    limit: FailureLimit
    stop: StopFlag = field(default_factory=StopFlag)
    items: int = 0
    invalid: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)
    cached: int = 0
    rollouts: int = 0
    reward_seconds: float = 0.0
    """Time spent waiting for the service."""
    rewards: list[float] = field(default_factory=list)
    """Mean weighted reward of each batch that had one."""
    last: BatchCounts | None = None
    """The latest batch."""
    last_seconds: float = 0.0

    @property
    def has_nothing_to_learn_from(self) -> bool:
        """Whether not one completion of the latest batch got a reward."""
        return self.last is not None and self.last.failed_items == self.last.items

    def service_answered(self, seconds: float, rollouts: int) -> None:
        """Takes how long the service took for a batch, and the rollouts that it started."""
        self.last_seconds = seconds
        self.reward_seconds += seconds
        self.rollouts += rollouts

    def add(self, counts: BatchCounts, failed: Sequence[bool]) -> None:
        """Takes one batch; sets the stop flag if too much has failed.

        Args:
            counts: The batch in numbers.
            failed: Of each of its completions, in order.
        """
        self.last = counts
        self.items += counts.items
        self.invalid.update(counts.invalid)
        self.failed.update(counts.failed)
        self.cached += counts.cached
        if counts.reward is not None:
            self.rewards.append(counts.reward)
        if self.limit.exceeded_by(failed):
            self.stop.set(self._too_many_failed())

    def metrics(self) -> dict[str, float]:
        """The latest batch as metrics, by name. Codes seen earlier in the run are reported as 0."""
        batch = self.last
        if batch is None:
            return {}
        shares: dict[str, float] = {
            "outcomes/invalid": batch.invalid_items / batch.items,
            "outcomes/failed": batch.failed_items / batch.items,
            "outcomes/cached": batch.cached / batch.items,
            "reward_service/seconds": self.last_seconds,
        }
        if batch.zero_variance is not None:
            shares["outcomes/zero_variance_groups"] = batch.zero_variance
        if batch.decided:
            shares["outcomes/yes"] = batch.yes / batch.decided
        for code in self.invalid:
            shares[f"invalid/{code}"] = batch.invalid.get(code, 0) / batch.items
        for code in self.failed:
            shares[f"failed/{code}"] = batch.failed.get(code, 0) / batch.items
        return shares

    def _too_many_failed(self) -> str:
        code, count = self.failed.most_common(1)[0]
        return (
            f"more than {self.limit.share:.0%} of the last {self.limit.window} rewards failed; the "
            f"most frequent reason is {code!r} ({count} times). Look at the reward service's log, "
            "then go on with resume_from_checkpoint: latest"
        )


def group_numbers(keys: Sequence[object], group_size: int) -> list[int]:
    """Which group each completion of a batch belongs to, from 0 in the order of their first ones.

    Args:
        keys: What tells the prompts apart, one a completion.
        group_size: Completions a prompt; a prompt that comes up again begins another group.

    >>> group_numbers("aabbaa", group_size=2)
    [0, 0, 1, 1, 2, 2]
    """
    seen: Counter[object] = Counter()
    numbers: dict[tuple[object, int], int] = {}
    found = []
    for key in keys:
        found.append(numbers.setdefault((key, seen[key] // group_size), len(numbers)))
        seen[key] += 1
    return found


def zero_variance_share(
    keys: Sequence[object], rewards: Sequence[float | None], group_size: int
) -> float | None:
    """Share of the whole groups in a batch that teach nothing, because all rewards are equal.

    Args:
        keys: What tells the prompts apart, one a completion.
        rewards: The total reward of each completion; None where it failed.
        group_size: Completions a prompt.

    Returns:
        From 0 to 1; None where no whole group has two rewards to compare.

    >>> zero_variance_share("aabb", [1, 1, 0, 1], group_size=2)
    0.5
    >>> zero_variance_share("ab", [1, 1], group_size=2) is None
    True
    """
    groups: dict[int, list[float | None]] = {}
    for number, reward in zip(group_numbers(keys, group_size), rewards, strict=True):
        groups.setdefault(number, []).append(reward)
    present = [
        [reward for reward in group if reward is not None]
        for group in groups.values()
        if len(group) == group_size
    ]
    comparable = [group for group in present if len(group) > 1]
    if not comparable:
        return None
    return sum(max(group) - min(group) < 1e-9 for group in comparable) / len(comparable)
