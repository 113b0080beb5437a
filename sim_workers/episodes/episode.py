"""An episode that runs: a record, and the process that is at its present moment."""

import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Self

from shared.errors import EpisodeConflict, InvalidDecision, InvalidRequest
from shared.signals import Signal
from shared.wire.episodes import (
    ControlAction,
    EpisodeDecision,
    InvalidInfo,
    StepAnswer,
    StepRequest,
)
from sim_workers.engine.episodes.messages import (
    End,
    Ended,
    PhaseRule,
    Step,
    Stepped,
    Trial,
    Try,
    Watch,
)
from sim_workers.engine.episodes.outputs import OUTPUTS
from sim_workers.engine.fork_client import ForkServer, SimulationHandle
from sim_workers.engine.messages import Open
from sim_workers.episodes.figures import Counted, Outputs, figures_of
from sim_workers.episodes.observations import (
    mean_reward_of,
    observe,
    reward_of_step,
)
from sim_workers.episodes.opening import EpisodeSignals, opened_episode
from sim_workers.episodes.progress import FinishedEpisode, Progress
from sim_workers.episodes.reading import read_decision
from sim_workers.episodes.record import EpisodeRecord, EpisodeSpec
from sim_workers.episodes.trials import EpisodeTrials

__all__ = ["Episode", "FinishedEpisode"]

_LIMIT_S = 600.0


class Episode:
    """One run under decisions from outside. Use as a context, or close it.

    One thread at a time may use it. Made by :meth:`start` or :meth:`replay`.
    """

    def __init__(
        self,
        episode_id: str,
        spec: EpisodeSpec,
        trials: EpisodeTrials,
        signals: EpisodeSignals,
        stepped: Stepped,
        progress: Progress,
    ) -> None:
        self.episode_id = episode_id
        self.spec = spec
        self.trials = trials
        """How candidates are tried."""
        self._handle = trials.handle
        self._signals = signals
        self._progress = progress
        self.seen = stepped
        """What the engine said last."""
        self.answer = self._answered(stepped, {})
        """The last answer."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    @classmethod
    def start(
        cls,
        fork_server: ForkServer,
        opening: Open,
        spec: EpisodeSpec,
        episode_id: str = "episode",
        elapsed_s: Mapping[str, float] | None = None,
        digest: str | None = None,
    ) -> Self:
        """Opens a simulation and begins to steer it.

        Args:
            fork_server: Makes the process.
            opening: How the scenario, or a state of it, is opened; seed, scale and arguments are
                those of the specification.
            spec: What to do.
            episode_id: Its name in answers.
            elapsed_s: How long each signal's phase has been shown, where it was restored from a
                state file.
            digest: Of where everything must be at its begin; None: nobody knows.

        Raises:
            InvalidRequest: ``unknown_signal``, ``nothing_to_decide`` or ``missing_transition``.
            RolloutError: SUMO refuses the scenario, a process died, or ``environment_differs``.
        """
        handle, signals, stepped = opened_episode(fork_server, opening, spec, elapsed_s, digest)
        trials = EpisodeTrials(handle, fork_server)
        return cls(episode_id, spec, trials, signals, stepped, Progress())

    @classmethod
    def replay(
        cls,
        fork_server: ForkServer,
        opening: Open,
        record: EpisodeRecord,
        episode_id: str = "episode",
        elapsed_s: Mapping[str, float] | None = None,
        digest: str | None = None,
    ) -> Self:
        """The episode that a record tells of, where it was left; raises as :meth:`start`."""
        episode = cls.start(fork_server, opening, record.spec, episode_id, elapsed_s, digest)
        try:
            for request in record.steps:
                episode.step(request)
        except BaseException:
            episode.kill()
            raise
        return episode

    @property
    def steered(self) -> Mapping[str, Signal]:
        """The signals that are steered, by id, with the bounds that the control keeps."""
        return self._signals.steered

    def program_id(self, tls_id: str) -> str:
        """A signal's own program."""
        return self._signals.states[tls_id].program_id

    @property
    def pid(self) -> int:
        """Its process."""
        return self._handle.pid

    @property
    def memory_mb(self) -> float:
        """What its process takes beside what it shares, MB."""
        return self._handle.own_memory_mb()

    @property
    def steps(self) -> int:
        """Steps that are done."""
        return len(self._progress.steps)

    @property
    def record(self) -> EpisodeRecord:
        """What it is so far."""
        return EpisodeRecord(spec=self.spec, steps=tuple(self._progress.steps))

    @property
    def is_over(self) -> bool:
        """Whether its end is reached."""
        return self.seen.time_s >= self.spec.end_s

    def step(self, request: StepRequest, watch: Watch | None = None) -> StepAnswer:
        """Carries decisions out and steps one interval.

        The last step that was done may be asked for again.

        Args:
            request: The decisions.
            watch: What to record meanwhile, the same with each step of its span;
                :attr:`seen` has it when the span has ended.

        Raises:
            EpisodeConflict: ``step_conflict`` where it was done otherwise or longer ago,
                ``step_out_of_order`` where it is not due, ``episode_over`` after the end.
            InvalidRequest: ``unknown_signal``: a decision for a signal that is not steered.
            RolloutError: The process died, or SUMO refused.
        """
        done = self._progress.steps
        if request.step < len(done):
            if request.step == len(done) - 1 and request == done[-1]:
                return self.answer
            raise EpisodeConflict(
                f"step {request.step} is done already; the next one is {len(done)}"
            )
        if request.step > len(done):
            raise EpisodeConflict(
                f"step {request.step} is not due; the next one is {len(done)}",
                "step_out_of_order",
            )
        if self.is_over:
            raise EpisodeConflict(
                f"the episode ended at {self.spec.end_s:g} s; start another one", "episode_over"
            )
        decisions, unread = self._read(request)
        to_s = min(self.seen.time_s + self.spec.control.interval_s, self.spec.end_s)
        step = Step(decisions=decisions, to_s=to_s, watch=watch)
        stepped = self._handle.call(step, Stepped, _LIMIT_S)
        queue_veh = _mean_queue(self.seen, stepped)
        self._note(request, decisions, unread, stepped)
        self.answer = self._answered(stepped, unread, queue_veh)
        return self.answer

    def try_candidates(
        self,
        candidates: Sequence[Mapping[str, EpisodeDecision]],
        horizon_s: int,
        base: PhaseRule = "keep",
        at_once: int = 1,
        limit_s: float = _LIMIT_S,
    ) -> tuple[Trial, ...]:
        """What decisions at the present moment would lead to, each exactly.

        The episode does not move.

        Args:
            candidates: Each by signal; the other signals go on as they are.
            horizon_s: Simulated seconds; cut at the episode's end.
            base: Who decides at the steps that follow.
            at_once: Processes side by side.
            limit_s: Wall-clock seconds for all.

        Raises:
            EpisodeConflict: ``episode_over``.
        """
        left_s = int(min(horizon_s, self.spec.end_s - self.seen.time_s))
        if left_s < 1:
            raise EpisodeConflict("the episode is over; nothing can be tried", "episode_over")
        request = Try(
            candidates=tuple(dict(one) for one in candidates),
            horizon_s=left_s,
            base=base,
            at_once=at_once,
            limit_s=limit_s,
        )
        return self.trials.run(request, self.seen.time_s)

    def fork(self, episode_id: str) -> "Episode":
        """Another episode from this moment; what becomes of one is nothing to the other."""
        trials = self.trials.of_fork(self._handle.spawn(_LIMIT_S))
        forked = Episode(
            episode_id, self.spec, trials, self._signals, self.seen, self._progress.copy()
        )
        forked.answer = self.answer.model_copy(update={"episode_id": episode_id})
        return forked

    def finish(self) -> FinishedEpisode:
        """Ends it here, and adds up what it was. The process is gone afterwards."""
        with ExitStack() as stack:
            files = [stack.enter_context(tempfile.TemporaryFile()) for _ in OUTPUTS]
            self._handle.send_with(End(), *files)
            self._handle.receive(Ended, _LIMIT_S)
            written = []
            for file in files:
                file.seek(0)
                written.append(file.read())
        self.close()
        outputs = Outputs(*written)
        seen, progress = self.seen, self._progress
        counted = Counted(
            queue_sum_veh=seen.queue_sum_veh,
            seconds=seen.seconds,
            signals=self._signals.counted,
            switches=seen.switches,
            decisions=progress.decisions,
        )
        figures = figures_of(outputs, counted)
        return FinishedEpisode(
            figures, outputs, tuple(progress.actions), self.record, tuple(progress.greens)
        )

    @property
    def actions(self) -> tuple[ControlAction, ...]:
        """What the signals were told so far."""
        return tuple(self._progress.actions)

    @property
    def handle(self) -> SimulationHandle:
        """Its process, for questions that move nothing."""
        return self._handle

    def close(self) -> None:
        """Lets the process go. Harmless when repeated."""
        self._handle.close()

    def kill(self) -> None:
        """Ends the process at once."""
        self._handle.kill()

    def _read(
        self, request: StepRequest
    ) -> tuple[dict[str, EpisodeDecision], dict[str, InvalidInfo]]:
        """The decisions of a request, and the completions that none can be read from."""
        for tls_id in (*request.decisions, *request.completions):
            if tls_id not in self._signals.steered:
                raise InvalidRequest(
                    f"signal {tls_id[:80]!r} is not steered in this episode", "unknown_signal"
                )
        decisions, unread = dict(request.decisions), {}
        for tls_id, text in request.completions.items():
            try:
                decisions[tls_id] = read_decision(text, self.spec.control)
            except InvalidDecision as exc:
                unread[tls_id] = InvalidInfo(code=exc.code, message=exc.message)
        return decisions, unread

    def _note(
        self,
        request: StepRequest,
        decisions: Mapping[str, EpisodeDecision],
        unread: Mapping[str, InvalidInfo],
        stepped: Stepped,
    ) -> None:
        progress, self.seen = self._progress, stepped
        progress.steps.append(request)
        progress.actions.extend(stepped.actions)
        progress.greens.extend(stepped.greens)
        for tls_id, decision in decisions.items():
            progress.decisions[decision.kind, tls_id not in stepped.invalid] += 1
        progress.decisions["text", False] += len(unread)

    def _answered(
        self,
        stepped: Stepped,
        unread: Mapping[str, InvalidInfo],
        queue_veh: float | None = None,
    ) -> StepAnswer:
        spec, invalid = self.spec, {**stepped.invalid, **unread}
        rewards = {
            tls_id: reward_of_step(spec.reward, sample, stepped.delay_veh, tls_id in invalid)
            for tls_id, sample in stepped.samples.items()
        }
        seen = {
            tls_id: observe(
                self._signals.steered[tls_id],
                self.program_id(tls_id),
                one,
                spec.control,
                spec.observe,
            )
            for tls_id, one in stepped.signals.items()
        }
        return StepAnswer(
            episode_id=self.episode_id,
            step=len(self._progress.steps),
            time_s=stepped.time_s,
            signals=seen,
            reward=mean_reward_of(rewards),
            rewards=rewards,
            invalid=invalid,
            kept=stepped.kept,
            queue_veh=queue_veh,
            truncated=self.is_over,
        )


def _mean_queue(before: Stepped, after: Stepped) -> float:
    """Vehicles that stood on counted lanes, mean over the seconds between two answers."""
    seconds = max(1, after.seconds - before.seconds)
    return (after.queue_sum_veh - before.queue_sum_veh) / seconds
