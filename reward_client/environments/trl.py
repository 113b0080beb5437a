"""An episode at one signal as an environment of TRL's ``GRPOTrainer(environment_factory=…)``.

Read from TRL 1.14.2, ``trainer/grpo_trainer.py``: every public method is a tool of the model, and
its docstring is what the model is told; a ``reset`` with the row's columns returns text that
follows the prompt; ``get_reward`` is asked once, when the completion has ended. An error that a
tool raises is told to the model, and the training goes on.
"""

import json
from typing import ClassVar

from reward_client.environments.encoding import rewards_of
from reward_client.environments.source import EpisodeSource, RunningEpisode, request_of
from shared.errors import ConfigError, GreenforkError
from shared.wire.episodes import SignalObservation, StepAnswer, StepRequest

__all__ = ["ExtendEnvironment", "PhaseEnvironment"]

_OF_AN_EPISODE = frozenset(
    {"scenario_id", "state_id", "seed", "scale", "begin_s", "end_s", "signals", "tls_id"}
)
"""Columns of a row that say which episode it is; others are left alone."""
_OF_A_RUN = frozenset({"scenario_id", "seed", "scale", "begin_s"})
"""What a state has of its own, which the rows of a dataset name too."""
_TOLD = (
    "You control one traffic light. Each green phase lists the vehicles on its lanes: queued "
    "(standing), approaching (moving) and passed (left during its latest green). Call the tool "
    "again and again until the episode is over, so that queues stay short. Now:\n"
)
_OVER = "The episode is over. Stop calling the tool."


class _SignalEnvironment:
    """What both kinds have in common.

    The reward is the mean of the rewards of all steps. What the model leaves undecided is run to
    the end without a decision, so that all completions of a row are judged over the same time. A
    reward that could not be computed is None, and TRL leaves the completion out.

    Args:
        source: Begins episodes.
        asked: Fields of :class:`shared.wire.episodes.EpisodeRequest`; columns of the row go first.
    """

    _control: ClassVar[str]

    def __init__(self, source: EpisodeSource, **asked: object) -> None:
        self._source = source
        self._asked: dict[str, object] = {"control": {"preset": self._control}, **asked}
        self._episode: RunningEpisode | None = None
        self._rewards: list[float] = []
        self._has_failed = False

    def reset(self, **row: object) -> str:
        """Begins the row's episode and tells the situation.

        Raises:
            ConfigError: The episode steers several signals, or none.
            GreenforkError: It could not be begun.
        """
        self._close()
        self._rewards, self._has_failed = [], False
        known = {key: row[key] for key in _OF_AN_EPISODE & row.keys() if row[key] is not None}
        if "tls_id" in known:
            known["signals"] = [known.pop("tls_id")]
        asked = self._asked | known
        if asked.get("state_id") is not None:
            asked = {key: value for key, value in asked.items() if key not in _OF_A_RUN}
        request = request_of(self._source, asked | {"observe": ["prompt"]})
        self._episode = self._source.begin(request)
        self._only_signal()
        self._go_on()
        return _TOLD + self._told()

    def get_reward(self) -> float | None:
        """The mean reward of the steps of the whole episode; None: it could not be computed."""
        if self._episode is None or self._has_failed:
            return None
        try:
            while not self._episode.answer.truncated:
                self._step({})
        except GreenforkError:
            return None
        finally:
            self._close()
        return sum(self._rewards) / len(self._rewards)

    def _decide(self, answer: dict[str, object]) -> str:
        """Carries one answer of the model out; what it is told then."""
        if self._episode is None or self._episode.answer.truncated:
            return _OVER
        after = self._step({self._only_signal(): json.dumps(answer)})
        invalid = "".join(f"Invalid: {one.message}\n" for one in after.invalid.values())
        self._go_on()
        return invalid + self._told()

    def _go_on(self) -> None:
        """Steps on while there is nothing to decide."""
        assert self._episode is not None, "it has begun"  # noqa: S101
        while not (self._seen().legal or self._episode.answer.truncated):
            self._step({})

    def _step(self, completions: dict[str, str]) -> StepAnswer:
        assert self._episode is not None, "it has begun"  # noqa: S101
        number = self._episode.answer.step
        try:
            after = self._episode.step(StepRequest(step=number, completions=completions))
            (reward,) = rewards_of(after).values()
        except BaseException:
            self._has_failed = True
            raise
        self._rewards.append(reward)
        return after

    def _told(self) -> str:
        assert self._episode is not None, "it has begun"  # noqa: S101
        if self._episode.answer.truncated:
            return _OVER
        prompt = self._seen().prompt
        assert prompt is not None, "it was asked for, and something is legal"  # noqa: S101
        return prompt[-1].content

    def _seen(self) -> SignalObservation:
        assert self._episode is not None, "it has begun"  # noqa: S101
        return self._episode.answer.signals[self._only_signal()]

    def _only_signal(self) -> str:
        assert self._episode is not None, "it has begun"  # noqa: S101
        signals = list(self._episode.answer.signals)
        if len(signals) != 1:
            raise ConfigError(
                f"this episode steers {len(signals)} signals ({', '.join(signals[:5])}): name one "
                "in the column tls_id, or with signals=[…]"
            )
        return signals[0]

    def _close(self) -> None:
        if self._episode is not None:
            self._episode.close()
        self._episode = None


class PhaseEnvironment(_SignalEnvironment):
    """Any green may be chosen at each step; by default under the rules of RESCO."""

    _control = "resco"

    def show_phase(self, phase: int) -> str:
        """Shows a green phase until the next call.

        Args:
            phase: The number of the green phase.

        Returns:
            The situation at the next decision.
        """
        return self._decide({"next_phase_id": phase})


class ExtendEnvironment(_SignalEnvironment):
    """The current green is extended or ended at each step, in the program's order."""

    _control = "program"

    def extend_green(self, extend: bool) -> str:
        """Extends the current green by some seconds, or ends it.

        Args:
            extend: Whether it is extended.

        Returns:
            The situation at the next decision.
        """
        return self._decide({"extend": {True: "yes", False: "no"}.get(extend, extend)})
