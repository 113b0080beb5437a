"""Statistics about the rewards of a run, and the limit of failures at which it stops.

Pure bookkeeping. The reward functions update it; metrics, progress line, report and stop condition
read it.
"""

from collections import Counter, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

__all__ = [
    "BatchCounts",
    "FailureLimit",
    "RunStats",
    "StopFlag",
    "group_numbers",
    "zero_variance_share",
]


class StopFlag:
    """Set once when a run should end: after the current step, or instead of it."""

    def __init__(self) -> None:
        self.reason: str | None = None
        self.lost_batch: str | None = None
        """The reason if a whole batch was lost, so that its step must not be made."""

    def set(self, reason: str, is_batch_lost: bool = False) -> None:
        """Requests the end of the run; the first reason is kept."""
        if self.reason is None:
            self.reason = reason
            self.lost_batch = reason if is_batch_lost else None


class FailureLimit:
    """Whether more than a share of the last items failed.

    Until the window is full, missing items count as successful, so that one early failure does not
    end a run.

    >>> limit = FailureLimit(share=0.5, window=4)
    >>> limit.exceeded_by([True, True]), limit.exceeded_by([True])
    (False, True)
    """

    def __init__(self, share: float, window: int) -> None:
        self.share = share
        self.window = window
        self._failed: deque[bool] = deque(maxlen=window)

    def exceeded_by(self, failed: Sequence[bool]) -> bool:
        """Adds the outcomes of some items; returns whether any of them exceeded the limit."""
        exceeded = False
        for one in failed:
            self._failed.append(one)
            exceeded = exceeded or sum(self._failed) > self.share * self.window
        return exceeded


@dataclass(frozen=True)
class BatchCounts:
    """The counts of one batch."""

    items: int
    invalid: Counter[str]
    """By code."""
    failed: Counter[str]
    """By code."""
    cached: int = 0
    clamped: int = 0
    """Rewards outside the bound."""
    yes: int = 0
    decided: int = 0
    """Completions with a readable decision."""
    zero_variance: float | None = None
    """Share of complete groups whose rewards are all equal; None if there was no group."""
    reward: float | None = None
    """Mean weighted reward of the completions that did not fail."""
    regret_veh: float | None = None
    """Mean queue after the decisions minus the shortest known one; None if nothing is known."""

    @property
    def by_code(self) -> dict[str, int]:
        """Completions without a legal decision or a reward, by metric name."""
        return {f"invalid/{code}": count for code, count in self.invalid.items()} | {
            f"failed/{code}": count for code, count in self.failed.items()
        }


@dataclass
class RunStats:
    """Counts over a whole run."""

    limit: FailureLimit
    stop: StopFlag = field(default_factory=StopFlag)
    ranks: int = 1
    """Number of processes that share a batch; each counts its own share."""
    items: int = 0
    invalid: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)
    codes: set[str] = field(default_factory=set)
    """Metrics of all codes that occurred in the run, so that later zeros can be reported."""
    cached: int = 0
    clamped: int = 0
    rollouts: int = 0
    reward_seconds: float = 0.0
    """Time spent by the service."""
    waited_seconds: float = 0.0
    """Time the training waited for rewards; less than the service's time if they overlapped."""
    step_seconds: float = 0.0
    """Total time of the optimizer steps."""
    outages: int = 0
    """How often the training paused because the service did not answer."""
    rewards: list[float] = field(default_factory=list)
    """Mean weighted reward of each batch that had one."""
    last: BatchCounts | None = None
    """The latest batch."""
    last_seconds: float = 0.0
    last_rollouts: int = 0
    """Rollouts of the latest batch, including those started ahead since the previous one."""
    rollouts_before: int = 0
    last_waited: float = 0.0
    last_step: float = 0.0

    @property
    def waited_share(self) -> float | None:
        """Share of the total step time spent waiting for rewards; None before the first step."""
        return self.waited_seconds / self.step_seconds if self.step_seconds else None

    @property
    def has_nothing_to_learn_from(self) -> bool:
        """Whether no completion of the latest batch got a reward."""
        return self.last is not None and self.last.failed.total() == self.last.items

    def service_answered(self, seconds: float, rollouts: int) -> None:
        """Records the service's time for a batch and the rollouts that it started."""
        self.last_seconds = seconds
        self.reward_seconds += seconds
        self.rollouts += rollouts
        self.last_rollouts = self.rollouts - self.rollouts_before
        self.rollouts_before = self.rollouts

    def waited(self, seconds: float) -> None:
        """Records how long the training waited for the rewards of a batch."""
        self.last_waited = seconds
        self.waited_seconds += seconds

    def stepped(self, seconds: float) -> None:
        """Records the duration of an optimizer step, including generation and rewards."""
        self.last_step = seconds
        self.step_seconds += seconds

    def add(self, counts: BatchCounts, failed: Sequence[bool]) -> None:
        """Adds a batch; sets the stop flag if too many rewards have failed.

        Args:
            counts: The counts of the batch.
            failed: Whether each of its completions failed, in order.
        """
        self.last = counts
        self.items += counts.items
        self.invalid.update(counts.invalid)
        self.failed.update(counts.failed)
        self.codes |= counts.by_code.keys()
        self.cached += counts.cached
        self.clamped += counts.clamped
        if counts.reward is not None:
            self.rewards.append(counts.reward)
        if self.limit.exceeded_by(failed):
            self.stop.set(self._too_many_failed())

    def take_up(self, codes: Iterable[str]) -> set[str]:
        """Adds codes that occurred on other ranks; returns those that are new here.

        Args:
            codes: The names of their metrics.
        """
        new = set(codes) - self.codes
        self.codes |= new
        return new

    def metrics(self) -> dict[str, float]:
        """Metrics of the latest batch by name; averaged over the ranks, they describe the whole
        batch.

        Codes that occurred only earlier in the run are reported as 0.
        """
        batch = self.last
        if batch is None:
            return {}
        shares: dict[str, float] = {
            "outcomes/invalid": batch.invalid.total() / batch.items,
            "outcomes/failed": batch.failed.total() / batch.items,
            "outcomes/cached": batch.cached / batch.items,
            "outcomes/clamped": batch.clamped / batch.items,
            "reward_service/seconds": self.last_seconds,
            "reward_service/rollouts": self.last_rollouts * self.ranks,
        }
        if batch.zero_variance is not None:
            shares["outcomes/zero_variance_groups"] = batch.zero_variance
        if batch.decided:
            shares["outcomes/yes"] = batch.yes / batch.decided
        if batch.regret_veh is not None:
            shares["outcomes/regret_veh"] = batch.regret_veh
        by_code = batch.by_code
        return shares | {name: by_code.get(name, 0) / batch.items for name in sorted(self.codes)}

    @classmethod
    def merged(cls, ranks: "Sequence[RunStats]") -> "RunStats":
        """The counts of a run on several ranks that share each batch.

        Items are summed, times are those of the first rank, and rewards are averaged over the
        ranks.
        """
        merged = replace(ranks[0])
        for name in ("items", "cached", "clamped", "rollouts"):
            setattr(merged, name, sum(getattr(rank, name) for rank in ranks))
        merged.invalid = sum((rank.invalid for rank in ranks), Counter())
        merged.failed = sum((rank.failed for rank in ranks), Counter())
        together = zip(*(rank.rewards for rank in ranks), strict=False)
        merged.rewards = [sum(batch) / len(batch) for batch in together]
        return merged

    def _too_many_failed(self) -> str:
        code, count = self.failed.most_common(1)[0]
        return (
            f"more than {self.limit.share:.0%} of the last {self.limit.window} rewards failed; the "
            f"most frequent reason is {code!r} ({count} times). See the reward service's log"
        )


def group_numbers(keys: Sequence[object], group_size: int) -> list[int]:
    """The group number of each completion in a batch, from 0 in order of first appearance.

    Args:
        keys: What identifies the prompt, one per completion.
        group_size: Completions per prompt; a repeated prompt starts another group.

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
    """Share of the complete groups in a batch that teach nothing, because all rewards are equal.

    Args:
        keys: What identifies the prompt, one per completion.
        rewards: The total reward of each completion; None if it failed.
        group_size: Completions per prompt.

    Returns:
        From 0 to 1; None if no complete group has two rewards to compare.

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
