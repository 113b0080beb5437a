"""Episodes at a reward service, driven over HTTP just like those on this machine."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol, Self

from greenfork.control.remote_signals import RemoteSignals, StateClient
from shared.errors import GreenforkError, RolloutError
from shared.wire.episode_views import (
    Candidate,
    CandidateResult,
    CandidateReward,
    CandidatesRequest,
    CandidatesResponse,
    EpisodeDetail,
    EpisodeResult,
    EpisodeView,
)
from shared.wire.episodes import (
    ControlAction,
    EpisodeDecision,
    EpisodeFigures,
    EpisodeRequest,
    SignalObservation,
    StepAnswer,
    StepRequest,
)

if TYPE_CHECKING:
    from reward_client.episodes import TripForm
    from shared.signals import Signal
    from sim_workers.controllers.protocols import Protocol as ControlProtocol
    from sim_workers.controllers.starting import Start
    from sim_workers.engine.episodes.messages import PhaseRule, SignalSeen, Stepped, Trial
    from sim_workers.episodes.episode import FinishedEpisode
    from sim_workers.episodes.record import EpisodeSpec

__all__ = ["EpisodeClient", "RemoteEpisode", "RemoteStarter"]

_MOST_CANDIDATES = 2048
"""The most candidates in one request."""
_MOST_TIMEOUT_S = 600


class EpisodeClient(StateClient, Protocol):
    """The calls needed from a service; :class:`reward_client.SyncRewardClient` provides them."""

    def create_episode(self, request: EpisodeRequest) -> StepAnswer: ...  # noqa: D102
    def step_episode(self, episode_id: str, request: StepRequest) -> StepAnswer: ...  # noqa: D102
    def score_candidates(  # noqa: D102
        self, episode_id: str, request: CandidatesRequest
    ) -> CandidatesResponse: ...
    def episode(self, episode_id: str) -> EpisodeDetail: ...  # noqa: D102
    def episode_result(self, episode_id: str) -> EpisodeResult: ...  # noqa: D102
    def episode_trips(self, episode_id: str, form: "TripForm") -> bytes: ...  # noqa: D102
    def episode_actions(self, episode_id: str) -> tuple[ControlAction, ...]: ...  # noqa: D102
    def delete_episode(self, episode_id: str) -> None: ...  # noqa: D102


class RemoteStarter:
    """Starts episodes of one scenario at a service, from any thread.

    A protocol's arguments for SUMO are not used: a service runs the scenario as it was uploaded.

    Args:
        client: The service.
        scenario_id: The scenario.
        protocol: How its signals are controlled.
        end_s: When the episodes end; None: after an hour.
    """

    def __init__(
        self,
        client: EpisodeClient,
        scenario_id: str,
        protocol: "ControlProtocol",
        end_s: float | None,
    ) -> None:
        self._client = client
        self._scenario_id = scenario_id
        self._protocol = protocol
        self._end_s = end_s
        self._signals = RemoteSignals(client, scenario_id)

    def start(self, start: "Start") -> "RemoteEpisode":
        """Starts an episode.

        Raises:
            ServiceError: It is refused, or the service does not answer.
        """
        request = EpisodeRequest(
            scenario_id=self._scenario_id,
            seed=start.seed,
            end_s=self._end_s,
            signals=None if start.is_steering else (),
            program=start.program,
            control=self._protocol.control,
            observe=start.observe or ("features",),
        )
        answer = self._client.create_episode(request)
        try:
            view = self._client.episode(answer.episode_id)
            return RemoteEpisode(self._client, view, answer, self._signals)
        except BaseException:
            _delete(self._client, answer.episode_id)
            raise


class RemoteEpisode:
    """An episode at a service. An unfinished one is deleted when it is closed.

    Args:
        client: The service.
        view: The service's description of it.
        answer: The service's last answer.
        signals: The scenario's signals.
    """

    def __init__(
        self, client: EpisodeClient, view: EpisodeView, answer: StepAnswer, signals: RemoteSignals
    ) -> None:
        self._client = client
        self._signals = signals
        self._id = view.episode_id
        self.spec = _spec_of(view)
        self.answer = answer
        """The service's last answer."""
        self._steps: list[StepRequest] = []
        self._is_finished = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    @property
    def seen(self) -> "Stepped":
        """The last answer in the engine's form; contains only what the answer does."""
        from sim_workers.engine.episodes.messages import Stepped

        signals = {tls_id: seen_of(one) for tls_id, one in self.answer.signals.items()}
        return Stepped(time_s=self.answer.time_s, signals=signals)

    @property
    def steps(self) -> int:
        """Number of completed steps."""
        return self.answer.step

    @property
    def is_over(self) -> bool:
        """Whether it has reached its end."""
        return self.answer.truncated

    @property
    def steered(self) -> "Mapping[str, Signal]":
        """The signals that are steered, by id; raises as :attr:`RemoteSignals.definitions`."""
        known = self._signals.definitions
        return {tls_id: known[tls_id] for tls_id in self.answer.signals}

    def program_id(self, tls_id: str) -> str:
        """A signal's own program; raises as :attr:`RemoteSignals.definitions`."""
        return self._signals.program_id(tls_id)

    def step(self, request: StepRequest) -> StepAnswer:
        """Carries out decisions and steps one interval; raises ServiceError."""
        self.answer = self._client.step_episode(self._id, request)
        self._steps.append(request)
        return self.answer

    def try_candidates(
        self,
        candidates: Sequence[Mapping[str, EpisodeDecision]],
        horizon_s: int,
        base: "PhaseRule" = "keep",
        at_once: int = 1,
        limit_s: float = _MOST_TIMEOUT_S,
    ) -> "tuple[Trial, ...]":
        """The results of candidate decisions at the present moment; the episode does not move.

        Args:
            candidates: Decisions by signal, for each candidate.
            horizon_s: Simulated seconds; cut short at the episode's end.
            base: The rule that decides at the steps that follow.
            at_once: Ignored: the service decides how many run side by side.
            limit_s: Wall-clock limit for the whole request in seconds, at most ten minutes.

        Raises:
            ServiceError: The service refuses, or does not answer.
        """
        items = [Candidate(id=n, decisions=dict(one)) for n, one in enumerate(candidates)]
        results: list[CandidateResult] = []
        for begin in range(0, len(items), _MOST_CANDIDATES):
            request = CandidatesRequest(
                items=tuple(items[begin : begin + _MOST_CANDIDATES]),
                reward=CandidateReward(name="delay", horizon_s=horizon_s),
                base=base,
                timeout_s=min(limit_s, _MOST_TIMEOUT_S),
            )
            results += self._client.score_candidates(self._id, request).results
        if [one.id for one in results] != list(range(len(items))):
            raise RolloutError("the service's results do not match the candidates")
        return tuple(map(_trial_of, results))

    def finish(self) -> "FinishedEpisode":
        """Fetches the result. SUMO's summary and the times of greens are not available.

        Raises:
            ServiceError: The episode is not over, or the service does not answer.
        """
        from sim_workers.episodes.episode import FinishedEpisode
        from sim_workers.episodes.figures import Outputs
        from sim_workers.episodes.record import EpisodeRecord

        result = self._client.episode_result(self._id)
        figures = result.model_dump(include=set(EpisodeFigures.model_fields))
        tripinfo = self._client.episode_trips(self._id, "application/xml")
        finished = FinishedEpisode(
            EpisodeFigures.model_validate(figures),
            Outputs(tripinfo, b"", b""),
            self._client.episode_actions(self._id),
            EpisodeRecord(spec=self.spec, steps=tuple(self._steps)),
        )
        self._is_finished = True
        return finished

    def close(self) -> None:
        """Deletes it at the service unless it has finished."""
        if not self._is_finished:
            self._is_finished = True
            _delete(self._client, self._id)

    def kill(self) -> None:
        """The same as :meth:`close`."""
        self.close()


def _delete(client: EpisodeClient, episode_id: str) -> None:
    """Deletes an abandoned episode.

    If that fails, the service parks the episode, and an earlier error is the one reported.
    """
    with suppress(GreenforkError):
        client.delete_episode(episode_id)


def seen_of(observed: SignalObservation) -> "SignalSeen":
    """A signal as the engine sees it, from its features; without them all counts are missing."""
    from sim_workers.engine.episodes.messages import PhaseCounts, SignalSeen

    counts: dict[int, dict[str, float]] = {}
    for name, value in (observed.features or {}).items():
        phase, _, of_phase = name.removeprefix("phase").partition("_")
        if name.startswith("phase") and of_phase in PhaseCounts.model_fields:
            counts.setdefault(int(phase), {})[of_phase] = value
    return SignalSeen(
        phase=observed.current_phase,
        elapsed_s=observed.elapsed_green_s,
        legal=observed.legal,
        counts={phase: PhaseCounts.model_validate(one) for phase, one in counts.items()},
    )


def _spec_of(view: EpisodeView) -> "EpisodeSpec":
    from sim_workers.episodes.record import EpisodeSpec

    return EpisodeSpec(
        seed=view.seed,
        scale=view.scale,
        begin_s=view.begin_s,
        end_s=view.end_s,
        signals=view.signals,
        program=view.program,
        control=view.control,
        reward=view.reward,
        observe=view.observe,
    )


def _trial_of(result: CandidateResult) -> "Trial":
    from sim_workers.engine.episodes.messages import Trial

    metrics = result.metrics
    if metrics is None or result.status != "scored":
        return Trial(error=result.error)
    return Trial(delay_veh=metrics.delay_veh, queue_veh=metrics.queue_veh)
