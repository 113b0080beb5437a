"""Repeating a part of an episode in a process of its own, to show what happened in it."""

from shared.errors import RolloutError
from sim_workers.engine.episodes.messages import Watch
from sim_workers.engine.fork_client import ForkServer
from sim_workers.engine.messages import Open
from sim_workers.episodes.episode import Episode
from sim_workers.episodes.record import EpisodeRecord
from sim_workers.pool.episodes.messages import EpisodeOrigin, ShownSpan

__all__ = ["show_span"]


def show_span(
    fork_server: ForkServer, opening: Open, origin: EpisodeOrigin, watch: Watch
) -> ShownSpan:
    """What was to be seen in a part of an episode.

    Args:
        fork_server: Starts the process that repeats it.
        opening: How the run begins, with the replay to the episode's begin.
        origin: The episode's record, up to the step in which the span ends.
        watch: The span; it begins where the episode begins, or later.

    Raises:
        GreenforkError: The record cannot be repeated; the class says why.
    """
    spec = origin.spec
    first = int((watch.from_s - spec.begin_s) // spec.control.interval_s)
    before = EpisodeRecord(spec=spec, steps=origin.steps[:first])
    episode = Episode.replay(
        fork_server, opening, before, elapsed_s=origin.elapsed_s, digest=origin.digest
    )
    try:
        answers = [episode.answer]
        answers += [episode.step(request, watch) for request in origin.steps[first:]]
        shown = episode.seen.shown
    finally:
        episode.kill()
    if shown is None:
        raise RolloutError(f"the record ends before {watch.to_s:g} s")
    texts = tuple(answer.model_dump_json().encode() for answer in answers)
    return ShownSpan(first, texts, shown.model_dump_json().encode())
