"""The episodes of one worker: processes for some of them, each a cache of its record.

A process is used if it is exactly at the record's position. Otherwise it is ended, and the record
is replayed. The least recently used processes are ended when there is no room.
"""

import os
import shutil
import time
from collections import OrderedDict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import structlog

from shared.errors import GreenforkError, HolderLost, RequestError, RolloutError
from shared.wire.episodes import ProgramKind
from sim_workers.engine.fork_client import ForkServer
from sim_workers.engine.messages import Open
from sim_workers.episodes.candidates import try_request
from sim_workers.episodes.episode import Episode
from sim_workers.episodes.position import Position
from sim_workers.episodes.programs import replace_programs
from sim_workers.episodes.record import EpisodeRecord
from sim_workers.pool.episodes.messages import (
    EpisodeBatch,
    EpisodeCall,
    EpisodeEnd,
    EpisodeOrigin,
    EpisodeReply,
)
from sim_workers.pool.episodes.saving import save_moment
from sim_workers.pool.episodes.showing import show_span
from sim_workers.pool.openings import restoring_config
from sim_workers.scenarios.scenario import CONFIG_NAME, write_files

__all__ = ["EpisodeHost", "EpisodeLimits"]

_MEASURED_EVERY = 20
"""Number of steps between two measurements of a process's memory."""
_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class EpisodeLimits:
    """How much the episodes of a worker may use."""

    max_live: int = 64
    """Maximum number of episodes with a process."""
    max_memory_mb: float = 4096
    """Limit on the total private memory of these processes, in MB."""
    restore_check_every: int | None = 200
    """One out of this many candidates done in a restored process is repeated by a fork. None makes
    every candidate a fork."""


@dataclass
class _Live:
    """An episode that has a process here."""

    episode: Episode
    at: Position
    memory_mb: float
    before: Position | None = None
    """Its position before its last step."""
    reply: EpisodeReply | None = None
    """The answer to the last step, for repeated requests."""

    def did(self, call: EpisodeCall) -> bool:
        """Whether a call repeats the last step, whose answer was then lost on its way."""
        if call.verb != "step" or self.before != call.at or self.reply is None:
            return False
        return self.episode.record.steps[-1] == call.step


class EpisodeHost:
    """Executes calls, one after the other. For use by one thread at a time.

    Args:
        fork_server: Starts the simulations.
        limits: How many episodes there may be, and how large.
        folder: The folder of scenarios, which rollouts use as well.
    """

    def __init__(self, fork_server: ForkServer, limits: EpisodeLimits, folder: Path) -> None:
        self._fork_server = fork_server
        self._limits = limits
        self._folder = folder
        self._live: OrderedDict[str, _Live] = OrderedDict()
        self._parked: list[str] = []

    def run(self, calls: Sequence[EpisodeCall]) -> EpisodeBatch:
        """The result of each call."""
        self._parked = []
        replies = tuple(self._reply(call) for call in calls)
        return EpisodeBatch(replies, tuple(self._parked), len(self._live))

    def park(self, episode_ids: Collection[str]) -> None:
        """Ends the processes of episodes."""
        for episode_id in episode_ids:
            self._drop(episode_id)

    def close(self) -> None:
        """Ends all processes."""
        self.park(list(self._live))

    def _reply(self, call: EpisodeCall) -> EpisodeReply:
        began_s = time.monotonic()
        try:
            reply = self._try_twice(call)
        except GreenforkError as exc:
            words = {"episode_id": call.episode_id, "code": exc.code, "reason": exc.message}
            _log.warning("episode_call_failed", verb=call.verb, **words)
            if not isinstance(exc, RequestError):  # the process's position is now unknown
                self._drop(call.episode_id)
            reply = EpisodeReply(call.at, error=exc)
        except Exception as exc:  # noqa: BLE001  the actor's boundary
            _log.error("episode_call_broke", episode_id=call.episode_id, exc_info=exc)
            self._drop(call.episode_id)
            error = RolloutError(f"{type(exc).__name__}: {exc}")
            reply = EpisodeReply(call.at, error=error)
        return replace(reply, ran_s=time.monotonic() - began_s)

    def _try_twice(self, call: EpisodeCall) -> EpisodeReply:
        """Executes a call; replaces a process that died once, if there is a record to replay."""
        try:
            return self._do(call)
        except HolderLost:
            self._drop(call.episode_id)
            return self._do(call)

    def _do(self, call: EpisodeCall) -> EpisodeReply:
        if call.verb == "show":
            assert call.origin is not None and call.watch is not None  # noqa: S101, PT018
            opening = self._opening(call.origin)
            shown = show_span(self._fork_server, opening, call.origin, call.watch)
            return EpisodeReply(call.at, shown=shown, replayed=call.at.steps, is_opened=True)
        live, replayed, is_opened = self._live.get(call.episode_id), 0, False
        if live is not None and live.did(call):
            assert live.reply is not None, "there is one of what was done"  # noqa: S101
            return live.reply
        if live is None or live.at != call.at:
            self._drop(call.episode_id)
            if call.origin is None:
                return EpisodeReply(call.at, needs_origin=True)
            live, replayed, is_opened = self._opened(call, call.origin), call.at.steps, True
        self._live.move_to_end(call.episode_id)
        reply = replace(self._done(call, live), replayed=replayed, is_opened=is_opened)
        if call.verb == "step" and reply.end is None:
            live.reply = reply
        return reply

    def _done(self, call: EpisodeCall, live: _Live) -> EpisodeReply:
        match call.verb:
            case "begin":
                pass
            case "step":
                return self._step(call, live)
            case "score":
                assert call.candidates is not None, "a score has candidates"  # noqa: S101
                at_once = min(call.at_once, len(os.sched_getaffinity(0)))
                answer = try_request(live.episode, call.candidates, at_once)
                return EpisodeReply(live.at, answer=answer.model_dump_json().encode())
            case "fork":
                self._fork(call, live)
            case "state":
                assert call.origin is not None, "it comes with the call"  # noqa: S101
                opening, draft = self._opening(call.origin), self._folder / call.episode_id
                saved = save_moment(self._fork_server, opening, live.episode, call.origin, draft)
                return EpisodeReply(live.at, saved=saved)
        return _told(live)

    def _step(self, call: EpisodeCall, live: _Live) -> EpisodeReply:
        assert call.step is not None, "a step has a request"  # noqa: S101
        episode = live.episode
        episode.step(call.step)
        live.before, live.at = live.at, live.at.after(call.step.model_dump_json().encode())
        actions = "".join(f"{one.model_dump_json()}\n" for one in episode.seen.actions)
        reply = replace(_told(live), actions=actions.encode())
        if episode.is_over:
            finished = episode.finish()
            self._live.pop(call.episode_id)
            figures = finished.figures.model_dump_json().encode()
            return replace(reply, end=EpisodeEnd(figures, finished.outputs.tripinfo))
        if episode.steps % _MEASURED_EVERY == 0:
            live.memory_mb = episode.memory_mb
            self._make_room()
        return reply

    def _fork(self, call: EpisodeCall, live: _Live) -> None:
        other = live.episode.fork(call.fork_id)
        self._live[call.fork_id] = _Live(other, live.at, other.memory_mb)
        self._make_room()

    def _opened(self, call: EpisodeCall, origin: EpisodeOrigin) -> _Live:
        """A process at the position of the call, made by replaying the record."""
        record = EpisodeRecord(spec=origin.spec, steps=origin.steps)
        episode = Episode.replay(
            self._fork_server,
            self._opening(origin),
            record,
            call.episode_id,
            origin.elapsed_s,
            origin.digest,
        )
        episode.trials.check_every = self._limits.restore_check_every
        live = self._live[call.episode_id] = _Live(episode, call.at, episode.memory_mb)
        self._make_room()
        return live

    def _opening(self, origin: EpisodeOrigin) -> Open:
        scenario = self._folder / origin.scenario_id
        if not scenario.exists():
            if origin.scenario is None:
                raise RolloutError("the worker lacks the scenario's files", "scenario_missing")
            write_files(scenario, origin.scenario)
        if origin.spec.program is not None:
            scenario = self._with_programs(scenario, origin.spec.program)
        opening = Open(config=str(scenario / CONFIG_NAME), seed=0, replay=origin.replay)
        if origin.state is None:
            return opening
        folder = self._folder / f"{origin.state_id}.episodes"
        folder.mkdir(exist_ok=True)
        file = folder / "state.xml"
        file.write_bytes(origin.state)
        config = restoring_config(scenario, folder, origin.read)
        given = {"config": str(config), "state_file": str(file), "reads": (str(scenario),)}
        return opening.model_copy(update=given)

    def _with_programs(self, scenario: Path, kind: ProgramKind) -> Path:
        """A copy of a scenario in which signals run programs of another type."""
        copy = scenario.with_name(f"{scenario.name}.{kind}")
        if not copy.exists():
            draft = Path(shutil.copytree(scenario, f"{copy}.draft", dirs_exist_ok=True))
            replace_programs(self._fork_server, draft / CONFIG_NAME, kind)
            draft.rename(copy)
        return copy

    def _make_room(self) -> None:
        """Ends the least recently used processes until the limits hold; the last one stays."""
        while len(self._live) > 1 and self._is_full():
            oldest = next(iter(self._live))
            self._drop(oldest)
            self._parked.append(oldest)

    def _is_full(self) -> bool:
        if len(self._live) > self._limits.max_live:
            return True
        return sum(one.memory_mb for one in self._live.values()) > self._limits.max_memory_mb

    def _drop(self, episode_id: str) -> None:
        live = self._live.pop(episode_id, None)
        if live is not None:
            live.episode.kill()


def _told(live: _Live) -> EpisodeReply:
    answer = live.episode.answer
    return EpisodeReply(
        live.at,
        answer=answer.model_dump_json().encode(),
        time_s=answer.time_s,
        signals=tuple(answer.signals),
    )
