"""What to roll out, and the result.

Part of :mod:`sim_workers.engine.messages`, whose unions include these.
"""

from typing import Literal, Self

from shared.decisions import Decision
from shared.domains.custom_metrics import CustomMetric
from shared.errors import GreenforkError
from shared.model import WireModel
from shared.rewards import DomainMetrics, FollowUp, Metrics
from shared.signals import Signal, SignalState
from shared.wire.episode_control import EpisodeControl, PhaseControl, is_yellow
from shared.wire.error_info import ErrorInfo
from shared.wire.viewing.traces import Trace

__all__ = ["MadeBy", "Rollout", "RolloutOutcome", "SignalDecision", "Source"]


class SignalDecision(WireModel):
    """A decision at one signal, and the signal's condition at the time of the state.

    A restored simulation does not know how long the current phase has been shown, so that comes
    from the state's record.
    """

    tls_id: str
    decision: Decision
    elapsed_s: float
    min_green_s: float
    max_green_s: float
    control: PhaseControl | None = None
    """The control with yellow under which the decision is carried out; None: the signal's own
    program."""
    program_id: str = ""
    """With a control: the id of the signal's own program."""
    phase: int = 0
    """With a control: which phase of that program is shown."""

    @classmethod
    def of(
        cls,
        tls_id: str,
        decision: Decision,
        signal: Signal,
        state: SignalState,
        control: EpisodeControl | None = None,
    ) -> Self:
        """A decision at a signal in this condition; the control is that of the state."""
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
"""What a simulation is opened from: a state's own file, an earlier state's file and a replay from
there, or the start of its run and a replay."""


class Rollout(WireModel):
    """What to roll out, in one form all the way from the gateway's plan to the process doing it.

    The plan says what to roll out and from where; whoever sends it on adds limits and names that
    are needed only on the way. A holder forks; the child carries out the decisions, steps and
    reports.
    """

    verb: Literal["rollout"] = "rollout"
    state_id: str = ""
    """The stored state from which it starts; empty for a rollout of a live simulation."""
    source: Source = "file"
    reseed: int | None = None
    """Reseeds the randomness at the time of the decision; None continues it."""
    signal_decisions: tuple[SignalDecision, ...]
    """Decisions in the order of the signals' ids. Empty: every signal is left alone."""
    observe: tuple[str, ...]
    """The signals whose lanes are sampled, in the order of their ids."""
    horizon_s: int
    """The horizon, in simulated seconds."""
    follow_up: FollowUp = "program"
    """What controls the decided signals afterwards."""
    custom: tuple[CustomMetric, ...] = ()
    """Users' own metrics to sample, in the order of their names."""
    limit_s: float = 0
    """Wall-clock limit in seconds, after which nobody waits any more; the child is then killed."""
    in_place: bool = False
    """Whether to do it without a fork, in the holder itself, which is used up afterwards."""
    is_last: bool = False
    """Whether this is the last rollout, so that no child need be kept ready for another."""
    is_forked: bool = False
    """Whether to use a new process even if one could be put back."""
    trace_s: int | None = None
    """Also compute a digest of the vehicles' paths over so many seconds, at least the horizon."""
    is_shown: bool = False
    """Also report the position of everything after each second of the horizon."""
    ticket: int = 0
    """The ticket by which :class:`sim_workers.engine.messages.Cancel` names it."""
    request_id: str = ""
    """The first request that asked for it, for the logs of every process that takes part."""

    @property
    def simulation(self) -> str:
        """Equal for rollouts that are forks of one simulation; safe in a file name."""
        source = "" if self.source == "file" else f"-{self.source}"
        seed = "" if self.reseed is None else f"-seed{self.reseed}"
        return f"{self.state_id}{source}{seed}"


MadeBy = Literal["fork", "restore"]
"""How a rollout got its process: a new one, or one that was put back to the same moment."""


class RolloutOutcome(WireModel):
    """The result of a rollout, in one form from the process that did it back to the gateway.

    Metrics, or why there are none. Each process that passes it on adds what it knows.
    """

    verb: Literal["rolled_out"] = "rolled_out"
    metrics: Metrics | None = None
    """Including the series."""
    numbers: DomainMetrics | None = None
    """The result of a task of another domain, in place of metrics."""
    trace: str | None = None
    """The digest of a :class:`sim_workers.engine.readings.WayTrace`, if requested."""
    error: ErrorInfo | None = None
    shown: Trace | None = None
    """The positions during the rollout, if requested."""
    made_by: MadeBy = "fork"
    not_restored: tuple[str, ...] = ()
    """Why processes that could be put back have ended since the last outcome."""
    check: Literal["equal", "different"] | None = None
    """How it compares with the same rollout by a fork, if both were done; if they differ, this is
    the fork's."""
    doubtful: tuple[Rollout, ...] = ()
    """If they differ: the results restored since the last check that passed, and sent."""
    opened: int = 0
    """Number of simulations that its worker opened for it."""
    waited_s: float = 0
    """Wall-clock seconds until a worker started it."""
    ran_s: float = 0
    """Wall-clock seconds of the worker, including the opening of a simulation."""
    is_recorded: bool = False
    """Whether it came from the ledger."""
    is_started: bool = False
    """Whether it was started for the request that receives it."""
    is_joined: bool = False
    """Whether another request had started it."""

    @classmethod
    def failed(cls, error: GreenforkError) -> Self:
        """The outcome of a rollout without metrics."""
        return cls(error=ErrorInfo.of(error))

    @property
    def seen(self) -> tuple[Metrics | None, str | None, ErrorInfo | None]:
        """What the rollout showed, and must show again however and wherever it is repeated."""
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
