"""What a run counts about its rewards, and when it has met too many failures to go on.

Pure bookkeeping: talks to nobody. The reward functions feed it; the metrics, the progress line, the
report and the stop of a run are read from it.
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
    """Set once, when a run should end itself: after the step, or instead of it."""

    def __init__(self) -> None:
        self.reason: str | None = None
        self.lost_batch: str | None = None
        """The reason, where the batch was lost as a whole: its step is not to be made."""

    def set(self, reason: str, is_batch_lost: bool = False) -> None:
        """Asks for the end; the first reason is kept."""
        if self.reason is None:
            self.reason = reason
            self.lost_batch = reason if is_batch_lost else None


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
    invalid: Counter[str]
    """By code."""
    failed: Counter[str]
    """By code."""
    cached: int = 0
    clamped: int = 0
    """Rewards that were beyond the bound."""
    yes: int = 0
    decided: int = 0
    """Completions that a decision could be read from."""
    zero_variance: float | None = None
    """Share of the whole groups whose rewards are all equal; None where there was no group."""
    reward: float | None = None
    """Mean weighted reward of what did not fail."""
    regret_veh: float | None = None
    """Mean queue after the decisions minus the shortest known one; None where nothing is known."""

    @property
    def by_code(self) -> dict[str, int]:
        """Completions without a legal decision or a reward, by the name of the code's metric."""
        return {f"invalid/{code}": count for code, count in self.invalid.items()} | {
            f"failed/{code}": count for code, count in self.failed.items()
        }


@dataclass
class RunStats:
    """Counts of a whole run."""

    limit: FailureLimit
    stop: StopFlag = field(default_factory=StopFlag)
    ranks: int = 1
    """Processes that work on a batch together; each has stats of its own share."""
    items: int = 0
    invalid: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)
    codes: set[str] = field(default_factory=set)
    """Metrics of the codes that were met in the run; of those alone can be said that none was."""
    cached: int = 0
    clamped: int = 0
    rollouts: int = 0
    reward_seconds: float = 0.0
    """Time that the service took."""
    waited_seconds: float = 0.0
    """Time that the training stood still for rewards: less, where the two went on at once."""
    step_seconds: float = 0.0
    """Time of the optimizer steps, all in all."""
    outages: int = 0
    """How often the training paused because nothing answered."""
    rewards: list[float] = field(default_factory=list)
    """Mean weighted reward of each batch that had one."""
    last: BatchCounts | None = None
    """The latest batch."""
    last_seconds: float = 0.0
    last_rollouts: int = 0
    """Those of the latest batch, and those that were started ahead since the one before."""
    rollouts_before: int = 0
    last_waited: float = 0.0
    last_step: float = 0.0

    @property
    def waited_share(self) -> float | None:
        """Share of all steps' time that was spent waiting for rewards; None before the first."""
        return self.waited_seconds / self.step_seconds if self.step_seconds else None

    @property
    def has_nothing_to_learn_from(self) -> bool:
        """Whether not one completion of the latest batch got a reward."""
        return self.last is not None and self.last.failed.total() == self.last.items

    def service_answered(self, seconds: float, rollouts: int) -> None:
        """Takes how long the service took for a batch, and the rollouts that it started."""
        self.last_seconds = seconds
        self.reward_seconds += seconds
        self.rollouts += rollouts
        self.last_rollouts = self.rollouts - self.rollouts_before
        self.rollouts_before = self.rollouts

    def waited(self, seconds: float) -> None:
        """Takes how long the training stood still for the rewards of a batch."""
        self.last_waited = seconds
        self.waited_seconds += seconds

    def stepped(self, seconds: float) -> None:
        """Takes how long an optimizer step took, with its generation and its rewards."""
        self.last_step = seconds
        self.step_seconds += seconds

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
        self.codes |= counts.by_code.keys()
        self.cached += counts.cached
        self.clamped += counts.clamped
        if counts.reward is not None:
            self.rewards.append(counts.reward)
        if self.limit.exceeded_by(failed):
            self.stop.set(self._too_many_failed())

    def take_up(self, codes: Iterable[str]) -> set[str]:
        """Takes what other ranks met; tells which codes are new here, and so 0 in this batch.

        Args:
            codes: The names of their metrics.
        """
        new = set(codes) - self.codes
        self.codes |= new
        return new

    def metrics(self) -> dict[str, float]:
        """The latest batch as metrics, by name, whose mean over the ranks is that of the batch.

        Codes met earlier in the run are reported as 0.
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
        """The counts of a run on several ranks, which work on one batch together.

        Items are added up, times are those of the first rank, rewards the means over the ranks.
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
            f"most frequent reason is {code!r} ({count} times). Look at the reward service's log"
        )


def group_numbers(keys: Sequence[object], group_size: int) -> list[int]:
    """Which group each completion of a batch belongs to, from 0 in the order of their first ones.

    Args:
        keys: What tells the prompts apart, one per completion.
        group_size: Completions per prompt; a prompt that comes up again begins another group.

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
        keys: What tells the prompts apart, one per completion.
        rewards: The total reward of each completion; None where it failed.
        group_size: Completions per prompt.

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
