"""How an episode begins: its simulation opened, compared, and told what to steer."""

from collections.abc import Mapping
from dataclasses import dataclass

from shared.errors import RolloutRejected
from shared.signals import Signal, SignalState
from shared.wire.episodes import EpisodeControl
from sim_workers.engine.episodes.messages import Begin, Stepped
from sim_workers.engine.fork_client import ForkServer, SimulationHandle
from sim_workers.engine.messages import (
    Describe,
    Described,
    Look,
    Observe,
    Observed,
    Open,
    Seen,
)
from sim_workers.episodes.observations import with_bounds
from sim_workers.episodes.record import EpisodeSpec, choose_signals

__all__ = ["EpisodeSignals", "opened_episode"]

_LIMIT_S = 600.0


@dataclass(frozen=True)
class EpisodeSignals:
    """The signals of an episode."""

    steered: Mapping[str, Signal]
    """With the bounds of the control."""
    states: Mapping[str, SignalState]
    """At the begin."""
    counted: int
    """Whose queues are counted."""


def opened_episode(
    fork_server: ForkServer,
    opening: Open,
    spec: EpisodeSpec,
    elapsed_s: Mapping[str, float] | None,
    digest: str | None,
) -> tuple[SimulationHandle, EpisodeSignals, Stepped]:
    """The process of an episode at its begin, its signals, and what is seen of them.

    Arguments and errors are those of :meth:`sim_workers.episodes.episode.Episode.start`.
    """
    given = {"seed": spec.seed, "scale": spec.scale, "with_outputs": True}
    arguments = (*opening.arguments, *spec.arguments)
    handle = fork_server.open(opening.model_copy(update=given | {"arguments": arguments}))
    try:
        if digest is not None:
            _compare(handle, digest)
        signals, stepped = _begun(handle, spec, elapsed_s or {})
    except BaseException:
        handle.kill()
        raise
    return handle, signals, stepped


def _begun(
    handle: SimulationHandle, spec: EpisodeSpec, elapsed_s: Mapping[str, float]
) -> tuple[EpisodeSignals, Stepped]:
    described = handle.call(_describe(spec.control), Described, _LIMIT_S).signals
    states = handle.call(Observe(tls_ids=()), Observed, _LIMIT_S).signals
    chosen = choose_signals(spec.signals, described, states)
    counted = choose_signals(None, described, states)
    begin = Begin(
        signals=chosen,
        counted=counted,
        control=spec.control,
        elapsed_s=dict(elapsed_s),
        terms=spec.reward.names(),
        with_passed=bool(spec.observe),
    )
    stepped = handle.call(begin, Stepped, _LIMIT_S)
    steered = {tls: with_bounds(described[tls], spec.control) for tls in chosen}
    return EpisodeSignals(steered, states, len(counted)), stepped


def _compare(handle: SimulationHandle, digest: str) -> None:
    """Makes sure that a simulation is where it was when the state was saved.

    Raises:
        RolloutRejected: ``environment_differs``: it is not.
    """
    if handle.call(Look(), Seen, _LIMIT_S).digest != digest:
        raise RolloutRejected(
            "the run differs from the dataset's build at the state that the episode begins from: "
            "SUMO computes another simulation on this machine or in this environment",
            "environment_differs",
        )


def _describe(control: EpisodeControl) -> Describe:
    longest_s = control.max_green_s
    return Describe(
        min_green_s=control.min_green_s, max_green_s=3600 if longest_s is None else longest_s
    )
