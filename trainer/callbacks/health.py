"""Detects common problems during a run, and suggests what usually helps. Pure.

Reads the logged metrics, which cover all ranks. Each problem is reported once when it begins, and
again only after it was over. :mod:`trainer.callbacks.metrics` logs the hints.
"""

from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["HealthBounds", "HealthWatch", "Hint"]


@dataclass(frozen=True)
class HealthBounds:
    """The thresholds above which something counts as a problem."""

    window: int = 20
    """Number of steps to average over: a single batch says little."""
    invalid_share: float = 0.3
    failed_share: float = 0.1
    cut_share: float = 0.5
    """Share of completions truncated at the maximum length."""
    kl: float = 1.0
    yes_share: float = 0.03
    """The minimum share of *yes*, and of *no*."""


@dataclass(frozen=True)
class Hint:
    """One problem, in one line."""

    name: str
    """The name under which it is counted."""
    seen: str
    helps: str

    def __str__(self) -> str:
        return f"{self.seen}: {self.helps}"


@dataclass(frozen=True)
class _Span:
    """One logged line, and the number of steps that it averages."""

    steps: int
    metrics: Mapping[str, Any]


class _Window:
    """The lines of the last steps."""

    def __init__(self, steps: int) -> None:
        self._wanted = steps
        self._spans: deque[_Span] = deque()

    def add(self, span: _Span) -> None:
        """Adds a line and drops those that the window no longer needs."""
        self._spans.append(span)
        while self.steps - self._spans[0].steps >= self._wanted:
            self._spans.popleft()

    @property
    def steps(self) -> int:
        """Steps that the lines cover."""
        return sum(span.steps for span in self._spans)

    @property
    def is_full(self) -> bool:
        """Whether there are enough steps to judge by."""
        return self.steps >= self._wanted

    def mean(self, name: str) -> float | None:
        """The mean of a metric over the steps that have it; None if none has."""
        found = [(span.steps, span.metrics.get(name)) for span in self._spans]
        known = [(steps, value) for steps, value in found if value is not None]
        covered = sum(steps for steps, _ in known)
        return sum(steps * value for steps, value in known) / covered if covered else None

    def most_of(self, prefix: str) -> str | None:
        """The most frequent metric with this prefix, without the prefix.

        A missing metric counts as 0: a code is reported only after it has occurred.
        """
        sums: dict[str, float] = {}
        for span in self._spans:
            for name, value in span.metrics.items():
                if name.startswith(prefix):
                    sums[name] = sums.get(name, 0.0) + span.steps * (value or 0.0)
        return max(sorted(sums), key=lambda name: sums[name])[len(prefix) :] if sums else None


class HealthWatch:
    """Watches the metrics of a run, line by line.

    >>> watch = HealthWatch(HealthBounds(window=2))
    >>> [str(hint) for hint in watch.look(1, {"outcomes/yes": 0.0})]
    []
    >>> watch.look(2, {"outcomes/yes": 0.01})[0].seen
    '0.5% of the decisions in the last 2 steps are yes'
    >>> watch.look(3, {"outcomes/yes": 0.0}), watch.episodes
    ([], {'one_answer': 1})

    Args:
        bounds: The thresholds.
    """

    def __init__(self, bounds: HealthBounds) -> None:
        self._bounds = bounds
        self._window = _Window(bounds.window)
        self._last_step = 0
        self._open: set[str] = set()
        self._episodes: Counter[str] = Counter()

    @property
    def episodes(self) -> dict[str, int]:
        """How often each problem began."""
        return dict(self._episodes)

    def begin(self, step: int) -> None:
        """Sets the step at which a run begins; above 0 if it resumes from a checkpoint."""
        self._last_step = step

    def look(self, step: int, metrics: Mapping[str, Any]) -> list[Hint]:
        """Adds a line of metrics; returns the problems that began with it.

        Args:
            step: Optimizer steps done.
            metrics: Means over the steps since the previous line; None means unknown.
        """
        self._window.add(_Span(max(1, step - self._last_step), metrics))
        self._last_step = step
        if not self._window.is_full:
            return []
        found = [hint for one in _DETECTORS if (hint := one.look(self._window, self._bounds))]
        begun = [hint for hint in found if hint.name not in self._open]
        self._open = {hint.name for hint in found}
        self._episodes.update(hint.name for hint in begun)
        return begun


@dataclass(frozen=True)
class _Detector:
    """Detects one problem."""

    name: str
    metric: str
    is_trouble: Callable[[float, HealthBounds], bool]
    """Decides from the metric's mean over the window."""
    seen: str
    """A format string with ``mean``, ``steps``, ``bounds``, and ``code``, the most frequent
    code."""
    helps: str
    codes: str = ""
    """The prefix of the metrics with the codes."""
    is_explained: bool = False
    """Whether truncated answers would explain it."""

    def look(self, window: _Window, bounds: HealthBounds) -> Hint | None:
        mean = window.mean(self.metric)
        if mean is None or not self.is_trouble(mean, bounds):
            return None
        if self.is_explained and _CUT_OFF.look(window, bounds):
            return None
        code = window.most_of(self.codes) if self.codes else None
        seen = self.seen.format(mean=mean, steps=window.steps, bounds=bounds, code=code)
        return Hint(self.name, seen, self.helps)


_CUT_OFF = _Detector(
    "cut_off",
    "completions/clipped_ratio",
    lambda mean, bounds: mean > bounds.cut_share,
    "{mean:.0%} of the answers in the last {steps} steps were cut off at max_new_tokens",
    "raise max_new_tokens (and max_seq_length) so that reasoning and answer fit, or teach the "
    "model to end its answers (greenfork train sft)",
)
_DETECTORS = (
    _Detector(
        "failing_rewards",
        "outcomes/failed",
        lambda mean, bounds: mean > bounds.failed_share,
        "{mean:.0%} of the rewards in the last {steps} steps failed, most of them with {code!r}",
        "see the reward service's log; start more workers, or raise reward_timeout_s",
        codes="failed/",
    ),
    _CUT_OFF,
    _Detector(
        "invalid",
        "outcomes/invalid",
        lambda mean, bounds: mean > bounds.invalid_share,
        "{mean:.0%} of the answers in the last {steps} steps are invalid, most of them {code!r}",
        "teach the answer format first (greenfork train sft), or set prompt_examples: true, "
        "a lower learning_rate, or a higher format_weight",
        codes="invalid/",
        is_explained=True,
    ),
    _Detector(
        "one_answer",
        "outcomes/yes",
        lambda mean, bounds: not bounds.yes_share <= mean <= 1 - bounds.yes_share,
        "{mean:.1%} of the decisions in the last {steps} steps are yes",
        "the policy has collapsed to one answer; go back to an earlier checkpoint with a lower "
        "learning_rate or a higher kl_coeff, or start from a model that can read the state "
        "(greenfork train sft)",
    ),
    _Detector(
        "no_variance",
        "outcomes/zero_variance_groups",
        lambda mean, _: mean >= 1,
        "no group of answers had different rewards in the last {steps} steps: nothing is learned",
        "raise temperature or num_generations, train on harder states (curriculum: true), or stop: "
        "the model may have converged",
        is_explained=True,
    ),
    _Detector(
        "kl",
        "kl",
        lambda mean, bounds: mean > bounds.kl,
        "the KL to the start is {mean:.2f} over the last {steps} steps, above {bounds.kl:g}",
        "lower learning_rate, raise kl_coeff, or set adaptive_kl: true",
    ),
)
"""The worst first: they usually explain the others."""
