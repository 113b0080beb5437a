"""Episodes without a simulation: the time goes on, and every signal shows what it is told."""

from dataclasses import dataclass, field
from typing import Any

from shared.errors import GreenforkError
from shared.wire.episodes import (
    EpisodeFigures,
    EpisodeRequest,
    ExtendControl,
    ExtendGreen,
    InvalidInfo,
    ShowPhase,
    SignalObservation,
    StepAnswer,
    StepRequest,
)

__all__ = ["FIGURES", "MadeUp", "MadeUpEpisode"]

GREENS = (0, 2)
FIGURES = EpisodeFigures(
    vehicles=1,
    delay_s=1.5,
    travel_time_s=None,
    travel_time_all_s=None,
    wait_s=None,
    queue_veh=None,
    throughput_veh=0,
    backlog_veh=1,
    teleports=0,
    collisions=0,
    emergency_stops=0,
    switches=0,
    gridlocked=False,
)


@dataclass
class MadeUp:
    """Begins episodes of a few steps at signals of two greens, 0 and 2."""

    signals: tuple[str, ...] = ("C",)
    steps: int = 3
    closed_at: frozenset[int] = frozenset()
    """Steps before which nothing may be decided."""
    reward: float | None = -1.0
    fails_at: int | None = None
    scenario_id: str | None = "crossing-0a1b2c3d4e5f"
    begun: list["MadeUpEpisode"] = field(default_factory=list)

    def begin(self, request: EpisodeRequest) -> "MadeUpEpisode":
        """Begins one."""
        self.begun.append(MadeUpEpisode(self, request))
        return self.begun[-1]


class MadeUpEpisode:
    """One of them."""

    def __init__(self, made_up: MadeUp, request: EpisodeRequest) -> None:
        self._made_up = made_up
        self._episode_id = f"e{len(made_up.begun) + 1}"
        self.request = request
        self.asked: list[StepRequest] = []
        self.is_closed = False
        self.shown = dict.fromkeys(request.signals or made_up.signals, 0)
        self.answer = self._answer({})

    def step(self, request: StepRequest) -> StepAnswer:
        """Shows what is decided; a completion that is no JSON of a green is invalid."""
        made_up = self._made_up
        assert request.step == len(self.asked)
        if made_up.fails_at == request.step:
            raise GreenforkError("it died", "worker_lost")
        self.asked.append(request)
        for tls_id, decision in request.decisions.items():
            if isinstance(decision, ShowPhase):
                self.shown[tls_id] = decision.next_phase
        wrong = [tls for tls, text in request.completions.items() if "99" in text]
        invalid = {tls: InvalidInfo(code="unknown_phase", message="no phase 99") for tls in wrong}
        self.answer = self._answer(invalid)
        return self.answer

    def figures(self) -> EpisodeFigures:
        """The same of all."""
        return FIGURES

    def close(self) -> None:
        """Notes it."""
        self.is_closed = True

    def _answer(self, invalid: dict[str, InvalidInfo]) -> StepAnswer:
        made_up, step = self._made_up, len(self.asked)
        rewards: dict[str, float | None] = {}
        for tls_id in self.shown if step else ():
            penalty = -10.0 if tls_id in invalid else 0.0
            rewards[tls_id] = None if made_up.reward is None else made_up.reward - step + penalty
        known = [one for one in rewards.values() if one is not None]
        return StepAnswer(
            episode_id=self._episode_id,
            step=step,
            time_s=10.0 * step,
            signals={tls_id: self._seen(tls_id, step) for tls_id in self.shown},
            reward=sum(known) / len(known) if known else None,
            rewards=rewards,
            invalid=invalid,
            truncated=step >= made_up.steps,
        )

    def _seen(self, tls_id: str, step: int) -> SignalObservation:
        shown, is_open = self.shown[tls_id], step not in self._made_up.closed_at
        legal: Any = tuple(ShowPhase(next_phase=green) for green in GREENS)
        if isinstance(self.request.control, ExtendControl):
            legal = (ExtendGreen(extend=True, extend_s=5), ExtendGreen(extend=False))
        numbers = {"elapsed_s": 10.0 * step, "is_open": float(is_open)}
        for green in GREENS:
            numbers[f"phase{green}_shown"] = float(green == shown)
            numbers[f"phase{green}_queued"] = 4.0 + green
        prompt: Any = ({"role": "user", "content": f"step {step}"},)
        wanted = self.request.observe
        return SignalObservation(
            current_phase=shown,
            elapsed_green_s=10.0 * step,
            legal=legal if is_open else (),
            features=numbers if "features" in wanted else None,
            prompt=prompt if "prompt" in wanted and is_open else None,
        )
