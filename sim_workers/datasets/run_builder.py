"""Building one run of a dataset: simulate it, save its decision points, find how each is restored.

Two things go on at the same time, each in a thread that drives processes: the live simulation goes
from one decision point to the next and is rolled out there, by forking it; behind it, in order, the
states are restored and compared. What is complete goes into the run's journal.
"""

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from threading import Event

from shared.dataset import Action, Row
from shared.files import write_atomically
from shared.language.prompts import build_prompt, difficulty
from shared.signals import Signal
from shared.wire.states import StateRecord
from sim_workers.datasets.build_directory import BuildDirectory
from sim_workers.datasets.build_plan import BuildOptions, Run, Slot
from sim_workers.datasets.journal import JournalEntry
from sim_workers.datasets.live_rollouts import LiveRollouts
from sim_workers.datasets.proof import Proof, ProofPoint, decision_points
from sim_workers.datasets.restoration import FoundState, Restoration, Restorer, StateFile
from sim_workers.datasets.signal_choice import SignalChoice, choose_signals
from sim_workers.datasets.stored_actions import check_stored
from sim_workers.engine.fork_client import ForkServer, SimulationHandle
from sim_workers.engine.messages import (
    Advance,
    Describe,
    Described,
    Observe,
    Observed,
    Ready,
    Replay,
)
from sim_workers.engine.version import simulator
from sim_workers.scenarios.scenario import Scenario
from sim_workers.states.simulation_spec import SimulationSpec
from sim_workers.states.unread_demand import Demand

__all__ = ["BuiltRun", "RunBuilder"]

_LIMIT_S = 600.0
_MAX_AHEAD = 4
"""States that the live simulation may be ahead of what is compared."""


@dataclass(frozen=True)
class BuiltRun:
    """What a run showed of its network; its states are in its journal."""

    signals: dict[str, Signal]
    choice: SignalChoice


@dataclass(frozen=True)
class _Moment:
    """A moment of the live simulation that becomes a state."""

    slot: int
    seen: Observed
    points: Sequence[ProofPoint]
    found: FoundState


@dataclass(eq=False)
class RunBuilder:
    """Builds one run, from where its journal ends."""

    _scenario: Scenario
    """What is simulated."""
    _run: Run
    _options: BuildOptions
    _place: BuildDirectory
    _demand: Demand
    """What is in the scenario's files."""
    _on_slot: Callable[[StateRecord | None], None]
    """Called after each slot, by whatever thread: with its state, or None where it has no decision
    point."""
    _halt: Event
    """Ends the build early when it is set."""

    def __post_init__(self) -> None:
        self._journal = self._place.journal(self._run.name)
        self._files = SimulationSpec(
            scenario_name=self._scenario.name,
            scenario=self._place.layout.scenario.resolve(),
            demand=self._demand,
            seed=self._run.seed,
            scale=self._run.scale,
        )

    def build(self, fork_server: ForkServer) -> BuiltRun:
        """Builds what is left to build.

        Args:
            fork_server: For the live simulation, and those that it is compared with.

        Raises:
            GreenforkError: The signals leave nothing to build, or a simulation failed.
            CancelledError: It was halted.
        """
        done = self._journal.read()
        verified_s = None if self._options.only_replays else self._options.verified_s
        restorer = Restorer(fork_server, self._files, self._draft("again"), verified_s)
        with fork_server.open(self._files.open_begin(), _LIMIT_S) as live, closing(restorer):
            built = self._describe(live)
            first = done[-1].slot + 1 if done else 0
            if first < len(self._run.slots):
                self._resume(live, restorer, done)
                rollouts = LiveRollouts(live, fork_server)
                self._go_on(rollouts, restorer, built.choice.decided, first)
        return built

    def _describe(self, live: SimulationHandle) -> BuiltRun:
        options = self._options
        question = Describe(min_green_s=options.min_green_s, max_green_s=options.max_green_s)
        signals = live.call(question, Described, _LIMIT_S).signals
        seen = live.call(Observe(tls_ids=()), Observed, _LIMIT_S).signals
        programs = {tls_id: state.program_id for tls_id, state in seen.items()}
        choice = choose_signals(signals, programs, options.tls_ids)
        check_stored(options.policy, signals.keys(), self._scenario.begin_s)
        return BuiltRun(signals, choice)

    def _resume(
        self, live: SimulationHandle, restorer: Restorer, done: Sequence[JournalEntry]
    ) -> None:
        """Brings the live simulation to where the journal ends."""
        for entry in done:
            restorer.take_actions(entry.actions)
            record = entry.record
            if record.restore == "state" and record.read is not None:
                path = self._place.layout.state_file(record.state_id).resolve()
                restorer.take_anchor(StateFile(record.state_id, path, record.time_s, record.read))
        if done:
            actions = tuple(action for entry in done for action in entry.actions)
            replay = Replay(to_s=done[-1].record.time_s, actions=actions)
            live.call(replay, Ready, _LIMIT_S)

    def _go_on(
        self, live: LiveRollouts, restorer: Restorer, signals: Sequence[Signal], first: int
    ) -> None:
        checking = ThreadPoolExecutor(1, f"checking-{self._run.name}")
        checks: deque[Future[None]] = deque()
        try:
            actions: list[Action] = []
            for index, slot in enumerate(self._run.slots[first:], start=first):
                moment = self._search(live, signals, index, slot, actions)
                if moment is None:
                    self._on_slot(None)
                    continue
                checks.append(checking.submit(self._complete, restorer, moment))
                if len(checks) > _MAX_AHEAD:
                    checks.popleft().result()
            for check in checks:
                check.result()
        finally:
            checking.shutdown(cancel_futures=True)

    def _search(
        self,
        live: LiveRollouts,
        signals: Sequence[Signal],
        index: int,
        slot: Slot,
        actions: list[Action],
    ) -> _Moment | None:
        """The first moment of a slot at which something can be decided, saved and rolled out.

        Args:
            live: The live simulation.
            signals: Those to decide.
            index: The slot's.
            slot: Where to look.
            actions: What the policy did since the last state; is kept up to date.
        """
        question = Observe(tls_ids=tuple(signal.tls_id for signal in signals))
        time_s = slot.from_s
        while time_s < slot.to_s:
            self._check_halt()
            advance = Advance(to_s=time_s, policy=self._run.policy)
            actions += live.simulation.call(advance, Ready, _LIMIT_S).actions
            seen = live.simulation.call(question, Observed, _LIMIT_S)
            points = decision_points(signals, seen, self._options)
            if points:
                saved = self._files.save(live.simulation, self._draft("live"))
                path = self._place.layout.state_file(saved.state_id).resolve()
                write_atomically(path, saved.content, self._draft("state"))
                found = FoundState(
                    saved.state_id,
                    path,
                    seen.time_s,
                    saved.read,
                    saved.digest,
                    tuple(actions),
                    Proof.of(live, points, self._options),
                )
                actions.clear()
                return _Moment(index, seen, points, found)
            time_s += 1
        return None

    def _complete(self, restorer: Restorer, moment: _Moment) -> None:
        """Finds how a state is restored and enters it into the journal."""
        self._check_halt()
        restoration = restorer.restoration(moment.found)
        record = self._record(moment, restoration)
        rows = tuple(self._row(moment, point, restoration) for point in moment.points)
        entry = JournalEntry(
            slot=moment.slot, record=record, rows=rows, actions=moment.found.actions
        )
        self._journal.append(entry)
        self._on_slot(record)

    def _record(self, moment: _Moment, restoration: Restoration) -> StateRecord:
        proven = dict.fromkeys((p.signal.tls_id for p in moment.points), self._options.kind)
        return StateRecord(
            state_id=moment.found.state_id,
            scenario_id=self._scenario.scenario_id,
            time_s=moment.seen.time_s,
            seed=self._run.seed,
            scale=self._run.scale,
            run=self._run.name,
            restore=restoration.restore,
            anchor=restoration.anchor,
            read=None if moment.found.read is None else dict(moment.found.read),
            digest=moment.found.digest,
            verified_s=restoration.verified_s,
            proven=proven if restoration.verified_s else {},
            simulator=simulator(),
            signals=moment.seen.signals,
        )

    def _row(self, moment: _Moment, point: ProofPoint, restoration: Restoration) -> Row:
        options, signal, state = self._options, point.signal, point.state
        with_outcomes = options.with_outcomes
        return Row(
            prompt=build_prompt(options.kind, signal, state, point.counts, options.extend_s),
            state_id=moment.found.state_id,
            scenario=self._scenario.scenario_id,
            tls_id=signal.tls_id,
            decision_kind=options.kind,
            current_phase=state.phase,
            elapsed_green_s=state.elapsed_s,
            min_green_s=signal.min_green_s,
            max_green_s=signal.max_green_s,
            time_s=moment.seen.time_s,
            seed=self._run.seed,
            scale=self._run.scale,
            restore=restoration.restore,
            difficulty=difficulty(state.phase, point.counts),
            outcomes=moment.found.proof.outcomes(signal.tls_id) if with_outcomes else None,
        )

    def _draft(self, name: str) -> Path:
        return self._place.draft(f"{self._run.name}-{name}").resolve()

    def _check_halt(self) -> None:
        if self._halt.is_set():
            raise CancelledError
