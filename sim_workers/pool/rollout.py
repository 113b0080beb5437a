"""Rollouts of stored states: what each starts from, the files for that, and its digest.

To be exact, a rollout starts from its state's file, from the state's anchor, or from the begin of
its run. A file or an anchor is used only for what was compared when the state was saved: every
legal decision of one kind at its decided signals, and all signals left alone, over a number of
seconds. For everything else (longer horizons, other kinds, joint decisions, follow-up policies) the
run is replayed from its begin, which is exact whatever is decided afterwards.

Where a file is proven, a replay gives the same result, so a worker may choose the cheaper way.
"""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from operator import attrgetter

from shared.dataset import Action
from shared.decisions import Decision, canonical
from shared.domains.custom_metrics import CustomMetric
from shared.errors import RolloutRejected
from shared.legality import legal_decisions
from shared.rewards import FollowUp
from shared.wire.states import Fidelity, Restore, StateRecord
from sim_workers.engine.messages import Replay, Rollout, SignalDecision, Source
from sim_workers.states.state_file import without_rng
from sim_workers.states.store import StoredState

__all__ = [
    "ENGINE_REVISION",
    "StateFiles",
    "check_end",
    "decisions_text",
    "fidelity_of",
    "files_of",
    "has_choice",
    "make_rollout",
    "recorded_source",
    "replay_of",
    "restore_of",
    "rollout_digest",
]

ENGINE_REVISION = 4
"""Incremented when the same rollout yields different metrics, so that old outcomes are not found.
"""


@dataclass(frozen=True)
class StateFiles:
    """Everything that a worker, sharing no disk with the gateway, needs to open a simulation."""

    scenario_id: str
    scenario: Mapping[str, bytes] | None
    """By file name; None if the worker already has the scenario."""
    run: str
    """Equal for states of the same run."""
    seed: int
    """The run's seed."""
    scale: float
    state: bytes | None = None
    """The file to load: the state's, or its anchor's; None begins the run."""
    read: Mapping[str, int] | None = None
    """How far the run had read its demand then; see :class:`shared.wire.states.StateRecord`."""
    replay: Replay | None = None
    """From there to the state; None if the file is the state's own."""
    digest: str | None = None
    """Digest of all positions after the replay, 16 hex digits; None if unknown."""
    landmark: Replay | None = None
    """Replay to a moment that identifies the run, if it may differ on other machines."""
    landmark_digest: str = ""
    """Digest of all positions at that moment."""
    has_file: bool = False
    """Whether there is a file to load, which :attr:`state` may leave out."""
    origin_s: float | None = None
    """Time of the state, seconds, to which replaying its run is exact as well; None if the rollout
    has to start from the file."""
    origin_digest: str | None = None
    """Of where everything is then."""
    run_actions: tuple[Action, ...] | None = None
    """All actions of the run's policy; None if the worker has them or does not need them."""


def make_rollout(
    state: StoredState,
    decisions: Mapping[str, Decision | None],
    horizon_s: int,
    follow_up: FollowUp = "program",
    reseed: int | None = None,
    custom: Sequence[CustomMetric] = (),
) -> Rollout:
    """The rollout of decisions, from a start that makes it exact.

    Args:
        state: Where it starts.
        decisions: By observed signal; None leaves a signal alone.
        horizon_s: Simulated seconds.
        follow_up: What controls the decided signals afterwards.
        reseed: Seed for the randomness from the decision on; None continues the run's.
        custom: Users' own metrics to sample.

    Raises:
        UnknownSignal: The state has no such signal.
    """
    decided = tuple(
        SignalDecision.of(
            tls_id,
            decision,
            state.signal(tls_id),
            state.record.signals[tls_id],
            state.record.control,
        )
        for tls_id, decision in sorted(decisions.items())
        if decision is not None
    )
    record, source = state.record, _source(state, decided, horizon_s, follow_up)
    if reseed is not None or record.restore == "unverified":
        source = "file"
    return Rollout(
        state_id=record.state_id,
        source=source,
        reseed=reseed,
        signal_decisions=decided,
        observe=tuple(sorted(decisions)),
        horizon_s=horizon_s,
        follow_up=follow_up if decided else "program",
        custom=tuple(sorted(custom, key=attrgetter("name"))),
    )


def _source(
    state: StoredState, decided: Sequence[SignalDecision], horizon_s: int, follow_up: FollowUp
) -> Source:
    is_proven = _is_proven(state, decided, horizon_s, follow_up)
    return recorded_source(state.record) if is_proven else "begin"


def recorded_source(record: StateRecord) -> Source:
    """What a state is restored from, according to its record."""
    if record.restore != "replay":
        return "file"
    return "begin" if record.anchor is None else "anchor"


def _is_proven(
    state: StoredState, decided: Sequence[SignalDecision], horizon_s: int, follow_up: FollowUp
) -> bool:
    """Whether exactly this was compared when the state was saved."""
    if horizon_s > state.record.verified_s or len(decided) > 1:
        return False
    if not decided:
        return True
    tls_id, decision = decided[0].tls_id, decided[0].decision
    kind = state.record.proven.get(tls_id)
    if follow_up != "program" or kind != decision.kind:
        return False
    signal, shown = state.signal(tls_id), state.record.signals[tls_id]
    compared = legal_decisions(kind, signal, shown, state.manifest.build.extend_s)
    return canonical(decision) in map(canonical, compared)


def restore_of(state: StoredState, rollout: Rollout) -> Restore:
    """What may be claimed about the rollout's metrics.

    With another seed there is no uninterrupted simulation to equal. The file is then continued,
    which for a replayed state is not exactly the moment at which it was saved.
    """
    restore = state.record.restore
    if restore == "unverified" or (restore == "replay" and rollout.reseed is not None):
        return "unverified"
    return "state" if rollout.source == "file" else "replay"


def fidelity_of(state: StoredState, rollout: Rollout) -> Fidelity:
    """Whether the rollout's metrics are those of the user's own simulation."""
    if state.record.restore == "unverified" or rollout.reseed is not None:
        return "unchecked"
    run = state.simulation()
    if run.fidelity != "own":
        return run.fidelity
    end_s = state.record.time_s + rollout.horizon_s
    return "own" if run.compared_to_s is not None and end_s <= run.compared_to_s else "unchecked"


def check_end(state: StoredState, horizon_s: int) -> None:
    """Returns if the configuration goes on for that long after a state.

    Raises:
        RolloutRejected: ``beyond_end``: nobody can know what would happen then.
    """
    end_s = state.manifest.scenario.end_s
    if end_s is not None and state.record.time_s + horizon_s > end_s:
        raise RolloutRejected(
            f"the scenario's configuration ends at {end_s:g} s, and {horizon_s} s after state "
            f"{state.record.state_id} is past that end: request a horizon of at most "
            f"{max(0, math.floor(end_s - state.record.time_s))} s",
            "beyond_end",
        )


def files_of(
    state: StoredState,
    rollout: Rollout,
    *,
    with_scenario: bool = True,
    with_choice: bool = False,
    with_actions: bool = True,
) -> StateFiles:
    """The files behind a rollout, read from disk and checked against their digests.

    Args:
        state: Where it starts.
        rollout: What is rolled out.
        with_scenario: Whether to include the scenario's files.
        with_choice: Whether the worker may replay the run if a file is proven.
        with_actions: Whether to include the run's actions for that choice.

    Raises:
        StateFileError: A file was changed, or was written by another version of SUMO.
        DatasetError: A file cannot be read.
    """
    record = state.record
    files = _files_of_run(state, state.read_scenario() if with_scenario else None)
    if with_choice and has_choice(state, rollout):
        files = _with_choice(files, state, with_actions)
    start = replay = None
    if rollout.source != "begin":
        start = state.anchor() if rollout.source == "anchor" else state
    content = None if start is None else start.read()
    if content is not None and rollout.reseed is not None:
        content = without_rng(content)
    if rollout.source != "file":
        actions = state.actions(None if start is None else start.record.time_s)
        replay = Replay(to_s=record.time_s, actions=actions)
    return replace(
        files,
        state=content,
        read=None if start is None else start.record.read,
        replay=replay,
        digest=None if replay is None else record.digest,
    )


def has_choice(state: StoredState, rollout: Rollout) -> bool:
    """Whether a rollout that starts from a file gives the same result if its run is replayed."""
    if rollout.source == "begin" or rollout.reseed is not None:
        return False
    return state.record.restore != "unverified" and state.record.digest is not None


def replay_of(state: StoredState, rollout: Rollout) -> StateFiles | None:
    """What a worker that knows the run needs for a rollout; None if it needs files.

    Raises:
        StateFileError: The file of the state, or of the run's actions, was changed or is missing:
            nothing is scored on a damaged dataset, even if that file is not needed.
        DatasetError: The run is not in the dataset, or its actions cannot be read.
    """
    if not has_choice(state, rollout):
        return None
    state.check()
    return _with_choice(_files_of_run(state, None), state, with_actions=False)


def _files_of_run(state: StoredState, scenario: Mapping[str, bytes] | None) -> StateFiles:
    """The files and data common to all states of a run."""
    record, sensitivity = state.record, state.simulation().sensitivity
    landmark = None
    if sensitivity is not None:
        actions = state.actions(to_s=sensitivity.time_s)
        landmark = Replay(to_s=sensitivity.time_s, actions=actions)
    return StateFiles(
        scenario_id=record.scenario_id,
        scenario=scenario,
        run=state.run_key(),
        seed=record.seed,
        scale=record.scale,
        landmark=landmark,
        landmark_digest=sensitivity.digest if sensitivity is not None else "",
    )


def _with_choice(files: StateFiles, state: StoredState, with_actions: bool) -> StateFiles:
    return replace(
        files,
        has_file=True,
        origin_s=state.record.time_s,
        origin_digest=state.record.digest,
        run_actions=state.actions(to_s=math.inf) if with_actions else None,
    )


def decisions_text(rollout: Rollout) -> str | None:
    """The decisions as one JSON text, by signal; None if nothing is decided."""
    if not rollout.signal_decisions:
        return None
    texts = {one.tls_id: json.loads(canonical(one.decision)) for one in rollout.signal_decisions}
    return json.dumps(texts)


def rollout_digest(rollout: Rollout, sumo_version: str) -> str:
    """The SHA-256 shared by equal work, permanently: 64 hex digits.

    Args:
        rollout: What is rolled out; the way of restoring is not part of the digest.
        sumo_version: Version of the simulator that computes the outcome.
    """
    identity: list[object] = [
        rollout.state_id,
        rollout.observe,
        decisions_text(rollout),
        rollout.horizon_s,
        rollout.follow_up,
        rollout.reseed,
        sumo_version,
        ENGINE_REVISION,
    ]
    if rollout.custom:  # without them the key is what it always was
        identity.append([[one.name, one.digest] for one in rollout.custom])
    return hashlib.sha256(json.dumps(identity).encode()).hexdigest()
