"""What is rolled out, and what became of it.

Part of :mod:`sim_workers.engine.messages`, whose unions hold these, too.
"""

from typing import Literal, Self

from shared.decisions import Decision
from shared.errors import GreenforkError
from shared.model import WireModel
from shared.rewards import DomainMetrics, FollowUp, Metrics
from shared.signals import Signal, SignalState
from shared.wire.episode_control import EpisodeControl, PhaseControl, is_yellow
from shared.wire.error_info import ErrorInfo
from shared.wire.viewing.traces import Trace

__all__ = ["MadeBy", "Rollout", "RolloutOutcome", "SignalDecision", "Source"]


class SignalDecision(WireModel):
    """A decision at one signal, and what the signal was doing at the moment of the state.

    A restored simulation does not know how long the current phase has been shown, so that comes
    from the state's record.
    """

    tls_id: str
    decision: Decision
    elapsed_s: float
    min_green_s: float
    max_green_s: float
    control: PhaseControl | None = None
    """With yellow, under which the decision is carried out; None: in the signal's own program."""
    program_id: str = ""
    """With a control: the signal's own program."""
    phase: int = 0
    """With a control: which of its phases is shown."""

    @classmethod
    def of(
        cls,
        tls_id: str,
        decision: Decision,
        signal: Signal,
        state: SignalState,
        control: EpisodeControl | None = None,
    ) -> Self:
        """A decision at a signal that is in this state; the control is that of the state."""
        decided = cls(
            tls_id=tls_id,
            decision=decision,
            elapsed_s=state.elapsed_s,
            min_green_s=signal.min_green_s,
            max_green_s=signal.max_green_s,
        )
        if not is_yellow(control):
            return decided
        driven = {"control": control, "program_id": state.program_id, "phase": state.phase}
        return decided.model_copy(update=driven)


Source = Literal["file", "anchor", "begin"]
"""What a simulation is opened from: a state's own file, that of an earlier state and a replay from
there, or the begin of its run and a replay."""


class Rollout(WireModel):
    """What is rolled out, the same from the gateway's plan to the process that does it.

    The plan says what and from where; what is needed on the way only, limits and names, is added by
    whoever sends it on. A holder forks; the child carries the decisions out, steps and reports.
    """

    verb: Literal["rollout"] = "rollout"
    state_id: str = ""
    """The stored state that it starts from; empty where a live simulation is rolled out."""
    source: Source = "file"
    reseed: int | None = None
    """Re-seeds the randomness at the moment of the decision; None continues it."""
    signal_decisions: tuple[SignalDecision, ...]
    """In the order of the signals' ids. Empty: every signal is left alone."""
    observe: tuple[str, ...]
    """The signals whose lanes are sampled, in the order of their ids."""
    horizon_s: int
    """Simulated seconds."""
    follow_up: FollowUp = "program"
    """Who runs the decided signals afterwards."""
    limit_s: float = 0
    """Wall-clock seconds until nobody waits for it any more; the child is killed then."""
    in_place: bool = False
    """Without a fork, in the holder itself, which is spent afterwards."""
    is_last: bool = False
    """Tells that no further rollout will follow, so that no child need be kept ready for it."""
    is_forked: bool = False
    """In a process of its own, even where one could be put back."""
    trace_s: int | None = None
    """Also digest the vehicles' ways over so many seconds, at least the horizon."""
    is_shown: bool = False
    """Also tell where everything was after each second of the horizon."""
    ticket: int = 0
    """By which :class:`sim_workers.engine.messages.Cancel` names it."""
    request_id: str = ""
    """The request that asked first, for the logs of every process that takes part."""

    @property
    def simulation(self) -> str:
        """Equal for rollouts that are forks of one simulation; safe in a file name."""
        source = "" if self.source == "file" else f"-{self.source}"
        seed = "" if self.reseed is None else f"-seed{self.reseed}"
        return f"{self.state_id}{source}{seed}"


MadeBy = Literal["fork", "restore"]
"""How a rollout got a process of its moment: a new one, or one that was put back to it."""


class RolloutOutcome(WireModel):
    """What became of a rollout, the same from the process that did it back to the gateway.

    Metrics, or why there are none. Whoever passes it on adds what it knows.
    """

    verb: Literal["rolled_out"] = "rolled_out"
    metrics: Metrics | None = None
    """With the series."""
    numbers: DomainMetrics | None = None
    """In place of metrics, what a task of another domain has found."""
    trace: str | None = None
    """That of a :class:`sim_workers.engine.readings.WayTrace`, where it was asked for."""
    error: ErrorInfo | None = None
    shown: Trace | None = None
    """What was to be seen meanwhile, where that was asked for."""
    made_by: MadeBy = "fork"
    not_restored: tuple[str, ...] = ()
    """Why processes that were to be put back have ended since the last outcome."""
    check: Literal["equal", "different"] | None = None
    """How it compares with the same rollout by a fork, where both were done; it is the fork's if
    they differ."""
    doubtful: tuple[Rollout, ...] = ()
    """Where they differ: what was restored since the last check that was passed, and answered."""
    opened: int = 0
    """Simulations that its worker opened for it."""
    waited_s: float = 0
    """Wall-clock seconds until a worker began with it."""
    ran_s: float = 0
    """Wall-clock seconds of the worker, the opening of a simulation included."""
    is_recorded: bool = False
    """Whether the ledger knew it before."""
    is_started: bool = False
    """Whether it was started for the request that gets it."""
    is_joined: bool = False
    """Whether another request had begun it."""

    @classmethod
    def failed(cls, error: GreenforkError) -> Self:
        """That of a rollout without metrics."""
        return cls(error=ErrorInfo.of(error))

    @property
    def seen(self) -> tuple[Metrics | None, str | None, ErrorInfo | None]:
        """What the rollout showed, and must show again however and wherever it is made."""
        return self.metrics, self.trace, self.error

    def unwrap(self) -> Metrics:
        """The metrics.

        Raises:
            GreenforkError: There are none; the class is that of the error's code.
        """
        if self.error is not None:
            raise self.error.to_error()
        assert self.metrics is not None, "an outcome has metrics or an error"  # noqa: S101
        return self.metrics
