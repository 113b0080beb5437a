"""Verifies a dataset: compares every stored number with what plain SUMO shows.

Each decision of a row is played as an episode of its own
(:mod:`sim_workers.verification.reference_simulation`), from the begin of its run; many in parallel,
but without shortcuts. The result is compared to the last bit with the row's outcome. It is also
compared with what the engine rolls out from the state here and now, if the row has no outcomes, if
that is asked for, or if the state is unverified. An unverified state is promoted if every decision
of all its rows is exact, and its signals left alone are, too.
"""

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing, contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

from shared.dataset import DatasetLayout, Row
from shared.decisions import Decision, DecisionKind
from shared.domains.custom_metrics import CUSTOM
from shared.errors import GreenforkError, RolloutError
from shared.legality import legal_decisions
from shared.rewards import Metrics
from shared.wire.error_info import ErrorInfo
from shared.wire.states import Restore
from sim_workers.engine.custom.installed import installed_metrics
from sim_workers.pool.rollout import make_rollout
from sim_workers.pool.worker import StateWorker
from sim_workers.sandbox.confinement import own_loopback, probe
from sim_workers.states.store import StateStore, StoredState, read_manifest, read_rows
from sim_workers.verification.comparison import (
    SAME,
    Difference,
    Place,
    Unchecked,
    Verification,
    metric_differences,
    record_differences,
    row_differences,
)
from sim_workers.verification.engine_runs import Way, engine_worker, roll_out
from sim_workers.verification.promotion import promote
from sim_workers.verification.reference_control import Greens
from sim_workers.verification.reference_simulation import Episode, Played, play
from sim_workers.verification.sumo_process import find_sumo
from sim_workers.verification.truth import Truth, compare_runs, mark_own, truth_of

__all__ = ["Checked", "VerifyOptions", "choose_rows", "verify_dataset"]

_WAYS: tuple[Way, ...] = ("state", "replay")
"""The ways in which an unverified state may turn out to be exact, the quicker one first."""


@dataclass(frozen=True)
class VerifyOptions:
    """What to verify, and how much of the machine to use."""

    sample: int | None = None
    """Maximum number of rows, chosen at random; None takes all."""
    seed: int = 0
    """Seed of that choice."""
    workers: int | None = None
    """Number of episodes played in parallel; None means one per core."""
    with_engine: bool = False
    """Let the engine roll out every decision again, even if its outcome is stored."""
    config: Path | None = None
    """The user's own configuration; None takes the original that the dataset keeps."""


@dataclass(frozen=True)
class Checked:
    """The progress of a verification, in decisions."""

    done: int
    total: int
    different: int


@dataclass(frozen=True)
class _Case:
    """A decision of a row, and the episode that shows its truth."""

    state: StoredState
    row: Row
    decision: Decision | None
    """None leaves every signal alone, as in the reference of a reward."""
    stored: Metrics | None
    episode: Episode

    @property
    def place(self) -> Place:
        if self.decision is None:
            return Place(self.row.state_id, self.row.tls_id, "left alone")
        return Place.of(self.row, self.decision)


@dataclass(frozen=True)
class _Verdict:
    """What became of a case."""

    case: _Case
    differences: tuple[Difference, ...]
    """Differences from what is stored."""
    engine: Mapping[Way, tuple[Difference, ...] | ErrorInfo]
    """Differences from what the engine rolled out, by how it restored the state."""
    failure: str | None = None
    """Why there is nothing to compare with."""

    def is_exact(self, way: Way) -> bool:
        return self.failure is None and not self.differences and self.engine.get(way) == ()

    @property
    def is_false(self) -> bool:
        """Whether something that claims to be exact differs."""
        restore = self.case.state.record.restore
        engine = () if restore == "unverified" else self.engine.get(restore, ())
        return bool(self.differences or (isinstance(engine, tuple) and engine))

    def all_differences(self, way: Way) -> tuple[Difference, ...]:
        """The differences of what is stored, and of what the engine rolled out."""
        found = self.engine.get(way, ())
        return self.differences if isinstance(found, ErrorInfo) else (*self.differences, *found)

    def unchecked(self, way: Way) -> str | None:
        """Why something could not be compared."""
        found = self.engine.get(way)
        if isinstance(found, ErrorInfo):
            return f"the engine cannot roll it out: {found.message} [{found.code}]"
        return self.failure


def verify_dataset(
    root: Path,
    options: VerifyOptions,
    on_progress: Callable[[Checked], None] = lambda checked: None,
) -> Verification:
    """Verifies one dataset, and promotes those of its unverified states that are exact.

    Raises:
        InputError: ``sumo_missing`` or ``sumo_of_other_version``.
        DatasetError: The folder holds no dataset, or a damaged one.
        RolloutError: A process that plays episodes was ended.
    """
    started_s = time.monotonic()
    manifest = read_manifest(root)
    sumo = find_sumo(manifest.simulator.version)
    rows = _read_rows(root)
    chosen = choose_rows(rows, options.sample, options.seed)
    store = StateStore.open([root])
    pairs = [(store.get(row.state_id), row) for row in chosen]
    unplayable = list(_unplayable(pairs))
    excused = {one.place for one in unplayable}
    with truth_of(root, manifest, options.config) as truth:
        playable = [(state, row) for state, row in pairs if Place.of(row) not in excused]
        cases = [case for state, row in playable for case in _cases(state, row, truth)]
        verdicts = _play(sumo, cases, options, on_progress)
        compared = compare_runs(root, manifest, truth)
    ways = {state_id: _way(ours) for state_id, ours in _by_state(verdicts).items()}
    unverified = [s.record.state_id for s, _ in pairs if s.record.restore == "unverified"]
    promoted = _promoted(ways, _whole_states(rows, chosen).intersection(unverified))
    _promote(root, promoted, rows)
    judged = [(verdict, ways[verdict.case.row.state_id] or "state") for verdict in verdicts]
    failures = [Unchecked(v.case.place, why) for v, way in judged if (why := v.unchecked(way))]
    is_whole = len(chosen) == len(rows) and not unplayable and not failures
    if is_whole and not any(verdict.differences for verdict in verdicts):
        mark_own(root, manifest, compared)
    return Verification(
        rows=len(chosen),
        restores=Counter(row.restore for row in chosen),
        decisions=sum(verdict.unchecked(way) is None for verdict, way in judged),
        different=sum(bool(verdict.all_differences(way)) for verdict, way in judged),
        differences=tuple(dict.fromkeys(d for v, way in judged for d in v.all_differences(way))),
        unchecked=(*unplayable, *failures),
        against=truth.against,
        without_network=probe().network,
        compared={run: str(found.difference or SAME) for run, found in compared.items()},
        promoted=promoted,
        unverified=_left_unverified(unverified, ways, promoted),
        custom=_custom(rows),
        wall_s=time.monotonic() - started_s,
    )


def _custom(rows: Iterable[Row]) -> tuple[str, ...]:
    """Users' own metrics, of which a verification can say nothing."""
    stored = {
        name
        for row in rows
        for outcome in row.outcomes or ()
        for name in outcome.metrics.custom or ()
    }
    names = stored | {metric.name for metric in installed_metrics()}
    return tuple(f"{CUSTOM}.{name}" for name in sorted(names))


def choose_rows(rows: Sequence[Row], sample: int | None, seed: int) -> list[Row]:
    """Random rows, in order; at least one of every way of restoring, if there is room.

    Args:
        rows: All rows.
        sample: How many to choose; None takes all.
        seed: Seed of the choice.
    """
    if sample is None or sample >= len(rows):
        return list(rows)
    shuffled = random.Random(seed).sample(range(len(rows)), len(rows))  # noqa: S311  no secret
    first: dict[Restore, int] = {}
    for index in shuffled:
        first.setdefault(rows[index].restore, index)
    wanted = dict.fromkeys([*first.values(), *shuffled])
    return [rows[index] for index in sorted(list(wanted)[:sample])]


def _read_rows(root: Path) -> list[Row]:
    paths = (DatasetLayout(root).rows("train"), DatasetLayout(root).rows("eval"))
    return [row for path in paths if path.is_file() for row in read_rows(path, Row)]


def _unplayable(pairs: Iterable[tuple[StoredState, Row]]) -> Iterator[Unchecked]:
    """Rows whose run cannot be played, and why."""
    for state, row in pairs:
        version = state.record.simulator.version
        if all(run.run != state.record.run for run in state.manifest.simulations):
            yield Unchecked(
                Place.of(row), f"the dataset does not list the run {state.record.run!r}"
            )
        elif version != state.manifest.simulator.version:
            yield Unchecked(Place.of(row), f"the state was saved by SUMO {version}")


def _cases(state: StoredState, row: Row, truth: Truth) -> Iterator[_Case]:
    run = state.simulation()
    stored = {o.decision: o.metrics for o in row.outcomes or ()}
    decisions: list[Decision | None] = list(stored or _legal(state, row))
    if state.record.restore == "unverified":  # what is proven of a state is proven of all of them
        decisions = [*dict.fromkeys([*stored, *_legal(state, row)]), None]
    for decision in decisions:
        episode = Episode(
            folder=truth.folder,
            command=truth.command(run),
            environment=truth.environment,
            actions=None if run.actions is None else state.layout.root.resolve() / run.actions,
            moment_s=row.time_s,
            decisions=() if decision is None else ((row.tls_id, decision),),
            greens={row.tls_id: Greens(row.min_green_s, row.max_green_s)},
            observe=(row.tls_id,),
            horizon_s=state.manifest.build.horizon_s,
        )
        known = None if decision is None else stored.get(decision)
        yield _Case(state, row, decision, known, episode)


def _legal(state: StoredState, row: Row) -> tuple[Decision, ...]:
    signal, extend_s = state.signal(row.tls_id), state.manifest.build.extend_s
    return legal_decisions(row.decision_kind, signal, state.record.signals[row.tls_id], extend_s)


def _play(
    sumo: Path,
    cases: Sequence[_Case],
    options: VerifyOptions,
    on_progress: Callable[[Checked], None],
) -> list[_Verdict]:
    """The verdict on every case, in order."""
    verdicts: dict[int, _Verdict] = {}
    different = 0
    on_progress(Checked(0, len(cases), 0))
    with closing(engine_worker()) as engine, _episode_pool(options.workers) as pool:
        playing = {pool.submit(play, sumo, case.episode): i for i, case in enumerate(cases)}
        for future in as_completed(playing):
            case = cases[playing[future]]
            try:
                verdict = _judge(case, future.result(), engine, options.with_engine)
            except BrokenProcessPool as exc:
                raise RolloutError("a process that replays episodes was killed") from exc
            except GreenforkError as exc:
                verdict = _Verdict(case, (), {}, f"{exc.message} [{exc.code}]")
            verdicts[playing[future]] = verdict
            different += verdict.is_false
            on_progress(Checked(len(verdicts), len(cases), different))
    return [verdicts[index] for index in range(len(cases))]


@contextmanager
def _episode_pool(workers: int | None) -> Iterator[ProcessPoolExecutor]:
    """Processes that play episodes; the end of the context cancels those not yet begun."""
    cores = len(os.sched_getaffinity(0))
    pool = ProcessPoolExecutor(workers or cores, get_context("spawn"), _prepare_to_play)
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def _prepare_to_play() -> None:
    """Cuts a process that plays episodes off from every network but its own loopback.

    It ignores interrupts from the terminal, which the process waiting for the episodes handles.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    own_loopback()


def _judge(case: _Case, true: Played, engine: StateWorker, with_engine: bool) -> _Verdict:
    """Compares everything known about a case with what the episode showed."""
    row, record = case.row, case.state.record
    differences = [
        *row_differences(row, true.signals[row.tls_id]),
        *record_differences(record, true.signals),
    ]
    if case.stored is not None:
        differences += metric_differences(case.place, "outcome", case.stored, true.metrics)
    ways: tuple[Way, ...] = ()
    if record.restore == "unverified":
        ways = _WAYS
    elif with_engine or case.stored is None:
        ways = (record.restore,)
    compared: dict[Way, tuple[Difference, ...] | ErrorInfo] = {}
    rollout = make_rollout(case.state, {row.tls_id: case.decision}, case.episode.horizon_s)
    for way in ways:
        found = roll_out(engine, case.state, rollout, way)
        compared[way] = (
            found
            if isinstance(found, ErrorInfo)
            else tuple(metric_differences(case.place, "engine", found, true.metrics))
        )
    return _Verdict(case, tuple(differences), compared)


def _whole_states(rows: Iterable[Row], chosen: Iterable[Row]) -> set[str]:
    """The states whose rows were all chosen."""
    left_out = {Place.of(row) for row in rows} - {Place.of(row) for row in chosen}
    return {row.state_id for row in rows} - {place.state_id for place in left_out}


def _by_state(verdicts: Iterable[_Verdict]) -> dict[str, list[_Verdict]]:
    found: dict[str, list[_Verdict]] = {}
    for verdict in verdicts:
        found.setdefault(verdict.case.row.state_id, []).append(verdict)
    return found


def _way(verdicts: Sequence[_Verdict]) -> Way | None:
    """How a state is restored; for an unverified one the exact way, or None if there is none."""
    restore = verdicts[0].case.state.record.restore
    if restore != "unverified":
        return restore
    exact = (way for way in _WAYS if all(verdict.is_exact(way) for verdict in verdicts))
    return next(exact, None)


def _promote(root: Path, promoted: Mapping[str, Restore], rows: Sequence[Row]) -> None:
    """Records in a dataset how states that were unverified before are restored."""
    if not promoted:
        return
    proven: dict[str, dict[str, DecisionKind]] = {}
    for row in rows:
        proven.setdefault(row.state_id, {})[row.tls_id] = row.decision_kind
    promote(root, promoted, read_manifest(root).build.horizon_s, proven)


def _promoted(ways: Mapping[str, Way | None], able: Set[str]) -> dict[str, Restore]:
    """The unverified states that are exact, among those played with all their rows."""
    return {state_id: way for state_id, way in ways.items() if way and state_id in able}


def _left_unverified(
    unverified: Iterable[str], ways: Mapping[str, Way | None], promoted: Mapping[str, Restore]
) -> dict[str, str]:
    """The states that stay unverified, and why."""
    left = {}
    for state_id in unverified:
        if state_id in promoted:
            continue
        if state_id not in ways:
            left[state_id] = "none of it could be replayed"
        elif ways[state_id] is None:
            left[state_id] = "neither its file nor a replay of its run is exact"
        else:
            left[state_id] = "not all of its rows were chosen"
    return left
