"""Saving the current moment of an episode as a state, and proving that it can be restored.

The moment is restored by replaying the whole run in a plain simulation that nobody controls. That
is done here once, in another process, and compared with the episode itself, at the moment and for
a minute afterwards.
"""

from collections.abc import Sequence
from pathlib import Path
from uuid import uuid4

from shared.dataset import Action
from shared.errors import InvalidRequest, RolloutRejected
from shared.signals import SignalState
from shared.wire.episodes import ControlAction
from sim_workers.engine.fork_client import ForkServer, SimulationHandle
from sim_workers.engine.messages import (
    Look,
    Observe,
    Observed,
    Open,
    Replay,
    Rollout,
    RolloutOutcome,
    Seen,
)
from sim_workers.episodes.episode import Episode
from sim_workers.pool.episodes.messages import EpisodeOrigin, SavedMoment
from sim_workers.states.simulation_spec import SimulationSpec
from sim_workers.states.unread_demand import Demand

__all__ = ["save_moment"]

_LIMIT_S = 600.0
_COMPARED_S = 60
_DIGEST_CHARS = 13
"""Length of the digest in a scenario's id, with the hyphen before it."""


def save_moment(
    fork_server: ForkServer, opening: Open, episode: Episode, origin: EpisodeOrigin, draft: Path
) -> SavedMoment:
    """Saves the current moment of an episode.

    Args:
        fork_server: Starts the process with which the episode is compared.
        opening: How the run begins, with the replay to the episode's begin.
        episode: The episode, which is not moved.
        origin: The origin of the episode.
        draft: A path to which nobody else writes.

    Raises:
        InvalidRequest: ``unverified_origin``: what came before it cannot be replayed;
            ``other_programs``: its signals do not run the programs of the scenario.
        RolloutRejected: ``not_reproducible``: the replay differs from the episode.
    """
    _check_origin(origin)
    spec = SimulationSpec(
        scenario_name=origin.scenario_id[:-_DIGEST_CHARS],
        scenario=Path(opening.config).parent,
        demand=Demand(Path(opening.config).parent),
        seed=episode.spec.seed,
        scale=episode.spec.scale,
    )
    saved = spec.save(episode.handle, draft.with_name(f"{draft.name}-{uuid4().hex}"))
    before = () if origin.replay is None else origin.replay.actions
    actions = (*before, *map(_as_action, episode.actions))
    run = {"seed": spec.seed, "scale": spec.scale}
    replay = Replay(to_s=episode.seen.time_s, actions=actions)
    with fork_server.open(opening.model_copy(update=run | {"replay": replay})) as replayed:
        if replayed.call(Look(), Seen, _LIMIT_S).digest != saved.digest:
            raise _other_simulation(episode)
        if _way(replayed, _COMPARED_S) != _way(episode.handle, _COMPARED_S):
            raise _other_simulation(episode)
    return SavedMoment(
        state_id=saved.state_id,
        time_s=episode.seen.time_s,
        content=saved.content,
        read=saved.read,
        digest=saved.digest,
        signals=_signal_states(episode),
        actions=_lines(actions),
        verified_s=_COMPARED_S,
    )


def _check_origin(origin: EpisodeOrigin) -> None:
    if origin.spec.program is not None:
        raise InvalidRequest(
            f"the episode runs {origin.spec.program} programs in place of the network's own, which "
            "no state of its scenario can continue",
            "other_programs",
        )
    if origin.state is not None:
        raise InvalidRequest(
            "the episode began from an uploaded state, whose run cannot be replayed; a state of it "
            "could not be verified",
            "unverified_origin",
        )


def _signal_states(episode: Episode) -> dict[str, SignalState]:
    """The state of every traffic light; controlled ones in their own programs."""
    shown = dict(episode.handle.call(Observe(tls_ids=()), Observed, _LIMIT_S).signals)
    for tls_id, seen in episode.seen.signals.items():
        shown[tls_id] = SignalState(
            program_id=episode.program_id(tls_id), phase=seen.phase, elapsed_s=seen.elapsed_s
        )
    return shown


def _way(handle: SimulationHandle, seconds: int) -> str | None:
    """A digest of every vehicle's path over some seconds without further decisions."""
    rollout = Rollout(
        signal_decisions=(),
        observe=(),
        horizon_s=1,
        trace_s=seconds,
        limit_s=_LIMIT_S,
        is_last=True,
    )
    outcome = handle.call(rollout, RolloutOutcome, _LIMIT_S)
    outcome.unwrap()
    return outcome.trace


def _as_action(told: ControlAction) -> Action:
    (argument,) = told.arguments
    if told.call == "setPhaseDuration":
        return Action(time_s=told.time_s, tls_id=told.tls_id, remaining_s=float(argument))
    said = argument if isinstance(argument, str) else int(argument)
    return Action(time_s=told.time_s, tls_id=told.tls_id, call=told.call, argument=said)


def _lines(actions: Sequence[Action]) -> bytes:
    return "".join(f"{one.model_dump_json()}\n" for one in actions).encode()


def _other_simulation(episode: Episode) -> RolloutRejected:
    return RolloutRejected(
        f"a replay of the episode up to {episode.seen.time_s:g} s differs from it; no state "
        "was saved",
        "not_reproducible",
    )
