"""The reward as a foreign trainer's configuration names it: parameters of a URL, or keywords."""

from collections.abc import Iterable

from pydantic import Field, FiniteFloat

from shared.decisions import MAX_GREEN_S
from shared.domains.reward_names import AnyTerm
from shared.language.completion_items import DEFAULT_EXTEND_S
from shared.model import WireModel
from shared.rewards import FollowUp, RewardSpec
from shared.validation import invalid_as_request_errors
from shared.wire.scoring import Item, ScoreRequest

__all__ = ["TrainerTerms"]


class TrainerTerms(WireModel):
    """What is asked for every completion, ``?reward=queue_gain&horizon_s=30``."""

    reward: AnyTerm = "queue_gain"
    """Without it, items of another domain than traffic get that domain's default."""
    horizon_s: int = Field(default=60, ge=1, le=3600)
    """Length of each rollout, seconds of simulated time."""
    invalid_reward: FiniteFloat = -1.0
    """The reward of an invalid decision."""
    follow_up: FollowUp = "program"
    """Who runs the signal after the decision."""
    seeds: tuple[int, ...] | None = None
    """As in :class:`RewardSpec`; given once each, ``seeds=1&seeds=2``."""
    extend_s: int = Field(default=DEFAULT_EXTEND_S, ge=1, le=MAX_GREEN_S)
    """Seconds that a *yes* without seconds of its own adds: those that the prompts say."""
    timeout_s: float = Field(default=30, gt=0, le=3600)
    """Seconds after which the request is answered with an error; below the caller's own timeout."""

    def spec(self) -> RewardSpec:
        """The reward as scoring knows it.

        Raises:
            InvalidRequest: The seeds are none.
        """
        named = {"name": self.reward} if "reward" in self.model_fields_set else {}
        with invalid_as_request_errors():
            return RewardSpec(
                horizon_s=self.horizon_s,
                invalid_reward=self.invalid_reward,
                follow_up=self.follow_up,
                seeds=self.seeds,
                **named,
            )

    def request(self, items: Iterable[Item]) -> ScoreRequest:
        """Items, at least one, under these terms.

        Raises:
            InvalidRequest: The seeds are none.
        """
        return ScoreRequest(items=tuple(items), reward=self.spec(), timeout_s=self.timeout_s)
