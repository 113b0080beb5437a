"""The simulation processes: ``python -m sim_workers.engine.fork_server FD``.

::

    actor, or builder                   owns sim_workers.engine.fork_client
      └─ fork server                    this module's main: libsumo imported, nothing started
           └─ holder, one per simulation  SUMO started, at its start or from a state
                └─ rollout, one per candidate   waits, decides, steps, reports, exits

A holder may be asked to spawn another one, at the present time of its simulation.

Every process here is single-threaded and exchanges length-prefixed messages over its own socket, so
each can be forked at any moment. The fork server exists because importing takes ten times as long
as opening a small simulation. A holder whose peer goes away exits, and takes its rollout with it.
"""

import contextlib
import faulthandler
import gc
import os
import signal
import socket
import sys
import traceback
from collections.abc import Callable, Iterator
from functools import partial
from multiprocessing.connection import Connection
from multiprocessing.reduction import recv_handle
from pathlib import Path
from typing import NoReturn

from sim_workers.engine.custom.loading import load
from sim_workers.engine.episodes.messages import Begin, End, Step, Tried, Try
from sim_workers.engine.episodes.outputs import OUTPUTS
from sim_workers.engine.episodes.restored_trials import RestoredTrials
from sim_workers.engine.episodes.serving import EpisodeServer
from sim_workers.engine.fork_memory import SimulationMemory, detach, die_with_parent
from sim_workers.engine.messages import (
    KEEPER,
    REQUEST,
    Advance,
    Cancel,
    Describe,
    Described,
    Keep,
    Look,
    Observe,
    Observed,
    Open,
    Ready,
    Replay,
    Reply,
    Request,
    Rollout,
    Save,
    Seen,
    Spawn,
    Spawned,
)
from sim_workers.engine.readings import moment, moment_digest
from sim_workers.engine.replies import encode, reply_of
from sim_workers.engine.restoring.keeper import keep
from sim_workers.engine.restoring.restorable import Keeper
from sim_workers.engine.rollouts.processes import Moment, RolloutProcesses
from sim_workers.engine.simulation import Simulation
from sim_workers.sandbox.confinement import before_stepping, libraries, read_only
from sim_workers.sandbox.isolation import limit_memory

__all__ = ["main"]

_MEMORY, _METRICS = 2, 3
"""The arguments that limit memory and name users' own metrics; both may be missing."""


def main() -> None:
    """The fork server: forks a holder for each socket and log sent to it, until its own is closed.

    The arguments are the descriptor of that socket; the memory limit of each process in bytes; and
    the metrics to load, whose modules were imported before this process was confined.
    """
    if len(sys.argv) > _MEMORY:
        limit_memory(int(sys.argv[_MEMORY]))
    custom = load(sys.argv[_METRICS]) if len(sys.argv) > _METRICS else {}
    faulthandler.enable()  # a crash in SUMO leaves the signal's name in the log
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel reaps ended holders and rollouts
    libraries()  # for every holder
    gc.freeze()
    with socket.socket(fileno=int(sys.argv[1])) as control:
        while (received := socket.recv_fds(control, 1, 2))[0]:
            what, (connection, log) = received[0], received[1]
            pid = os.fork()
            if pid == 0:
                control.close()
                die_with_parent()
                if what == KEEPER:
                    _become_keeper(connection, log)
                simulation = Simulation(custom)
                _become_holder(connection, log, simulation, SimulationMemory(), EpisodeServer())
            os.close(connection)
            os.close(log)
            control.sendall(pid.to_bytes(4, "big"))


def _become_holder(
    connection: int,
    log: int,
    simulation: Simulation,
    memory: SimulationMemory,
    episode: EpisodeServer,
) -> NoReturn:
    server = _SimulationServer(Connection(connection), simulation, memory, episode)
    _end_after(server.serve, log)


def _become_keeper(connection: int, log: int) -> NoReturn:
    _end_after(partial(keep, socket.socket(fileno=connection)), log)


def _end_after(work: Callable[[], None], log: int) -> NoReturn:
    """Does everything that a forked process is for, and ends it."""
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)
    try:
        with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError):
            work()
    except BaseException:  # noqa: BLE001  nothing may propagate into another process's loop
        traceback.print_exc()
    finally:
        os._exit(0)


class _SimulationServer:
    """Answers requests about one simulation, one at a time."""

    def __init__(
        self,
        peer: Connection,
        simulation: Simulation,
        memory: SimulationMemory,
        episode: EpisodeServer,
    ) -> None:
        self._peer = peer
        self._simulation = simulation
        self._episode = episode
        self._moment = Moment(simulation, episode, memory, self._before_rollout)
        self._rollouts = RolloutProcesses(peer, self._moment)
        self._trials = RestoredTrials(self._rollouts, self._fork_trials)
        self._has_stepped = False

    def serve(self) -> None:
        """Answers until the peer closes its end, which raises EOFError."""
        while True:
            data = self._peer.recv_bytes()
            request = REQUEST.validate_json(data)
            if isinstance(request, Rollout) and not request.in_place:
                self._rollouts.roll_out(data, request)
            elif isinstance(request, Keep):
                self._rollouts.keep(self._recv_keeper())
            elif isinstance(request, Spawn):
                self._spawn()
            elif isinstance(request, Cancel):
                continue  # its rollout ended meanwhile
            else:
                self._peer.send_bytes(reply_of(partial(self._answer, request)))

    def _answer(self, request: Request) -> Reply:
        simulation = self._simulation
        match request:
            case Open():
                return self._open(request)
            case Describe():
                signals = simulation.describe(request.min_green_s, request.max_green_s)
                simulation.watch(signals.values())
                return Described(signals=signals)
            case Advance(to_s=to_s, policy=policy):
                with self._moving(steps=True):
                    actions = simulation.advance(to_s, policy)
                return Ready(time_s=simulation.time_s, actions=tuple(actions))
            case Replay():
                return self._replay(request)
            case Observe(tls_ids=tls_ids):
                return Observed(
                    time_s=simulation.time_s,
                    signals=simulation.signal_states(),
                    counts={tls_id: simulation.counts(tls_id) for tls_id in tls_ids},
                )
            case Look(in_full=in_full):
                return Seen(things=moment() if in_full else {}, digest=moment_digest())
            case Save():
                self._save()
                return Ready(time_s=simulation.time_s)
            case Rollout():
                self._rollouts.drop()
                self._moment.before_fork()
                self._before_rollout()
                return simulation.roll_out(request)
            case Begin():
                with self._moving():
                    begun = self._episode.begin(request)
                gc.freeze()  # spares the collector what lasts for the whole episode
                return begun
            case Step():
                with self._moving(steps=True):
                    return self._episode.step(request)
            case Try():
                return self._trials.run(request)
            case End():
                self._rollouts.drop()
                return self._episode.end([recv_handle(self._peer) for _ in OUTPUTS])
            case Keep() | Spawn() | Cancel():
                raise AssertionError("these are not answered")

    def _open(self, request: Open) -> Ready:
        simulation = self._simulation
        os.environ.update(request.environment)
        if request.folder is not None:
            os.chdir(request.folder)
        readable = [Path(request.config).parent, *map(Path, request.reads)]
        if request.state_file is not None:
            readable.append(Path(request.state_file))
        read_only(readable)
        self._moment.memory.begin()
        if request.with_outputs:
            arguments = (*request.arguments, *self._episode.open_outputs())
            request = request.model_copy(update={"arguments": arguments})
        with self._moving():
            simulation.open(request)
            if request.replay is not None:
                self._before_stepping()
                simulation.replay(request.replay.to_s, request.replay.actions)
        return Ready(time_s=simulation.time_s)

    def _replay(self, request: Replay) -> Ready:
        simulation = self._simulation
        digests: tuple[str, ...] = ()
        with self._moving(steps=True):
            if request.is_watched:
                digests = simulation.watch_on(request.to_s, request.actions)
            else:
                simulation.replay(request.to_s, request.actions)
        return Ready(time_s=simulation.time_s, digests=digests)

    def _before_stepping(self) -> None:
        """Called once, before anything moves in this process."""
        if not self._has_stepped:
            before_stepping()
            self._has_stepped = True

    def _before_rollout(self) -> None:
        """Called in the process that is used up by a rollout."""
        self._episode.before_rollout()
        self._before_stepping()
        limit_memory(self._moment.rollout_bytes)

    def _fork_trials(self, request: Try) -> Tried:
        self._moment.before_fork()
        return self._episode.try_candidates(request, self._peer, self._before_trial)

    def _before_trial(self) -> None:
        """Called in the process of a candidate."""
        die_with_parent()
        detach(self._moment.reading)
        self._before_rollout()

    def _save(self) -> None:
        """Makes SUMO write into memory, and copies that to the file that was handed over."""
        target, draft = recv_handle(self._peer), os.memfd_create("state")
        try:
            self._simulation.save(Path(f"/proc/self/fd/{draft}"))
            done, size = 0, os.lseek(draft, 0, os.SEEK_END)
            while done < size:
                done += os.sendfile(target, draft, done, size - done)
        finally:
            os.close(draft)
            os.close(target)

    @contextlib.contextmanager
    def _moving(self, steps: bool = False) -> Iterator[None]:
        """Wraps whatever changes the simulation itself, by stepping or otherwise."""
        self._rollouts.drop()
        if steps:
            self._before_stepping()
        try:
            yield
        finally:
            self._moment.pass_on()

    def _recv_keeper(self) -> Keeper:
        connection = socket.socket(fileno=recv_handle(self._peer))
        return Keeper(connection, int(connection.recv(16)))

    def _spawn(self) -> None:
        """Forks into two: the other has the same simulation and a peer of its own."""
        connection, log = recv_handle(self._peer), recv_handle(self._peer)
        self._moment.before_fork()
        pid = os.fork()
        if pid == 0:
            self._peer.close()
            self._rollouts.leave()
            detach(self._moment.reading)
            self._episode.become_other()
            _become_holder(connection, log, self._simulation, self._moment.memory, self._episode)
        os.close(connection)
        os.close(log)
        self._peer.send_bytes(encode(Spawned(pid=pid)))


if __name__ == "__main__":
    main()
