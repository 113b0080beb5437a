"""The episode of a simulation process: answers the requests about it."""

import gc
import os
import time
from collections.abc import Callable, Mapping
from functools import partial
from multiprocessing.connection import Connection

import libsumo

from shared.errors import GreenforkError, RolloutError, RolloutRejected
from shared.wire.episodes import EpisodeDecision
from shared.wire.error_info import ErrorInfo
from sim_workers.engine.episodes.messages import Begin, Ended, Step, Stepped, Trial, Tried, Try
from sim_workers.engine.episodes.outputs import OUTPUTS, EpisodeOutputs
from sim_workers.engine.episodes.run import EpisodeRun
from sim_workers.engine.episodes.trials import try_all
from sim_workers.engine.showing.episode_recorder import EpisodeRecorder

__all__ = ["EpisodeServer"]

_SUMO_ERRORS = (libsumo.TraCIException, libsumo.FatalTraCIError)


class EpisodeServer:
    """What a simulation process knows about its episode; shared only with forks."""

    def __init__(self) -> None:
        self.outputs: EpisodeOutputs | None = None
        """SUMO's own outputs, if the simulation was opened with them."""
        self._run: EpisodeRun | None = None
        self._recorder: EpisodeRecorder | None = None

    def open_outputs(self) -> tuple[str, ...]:
        """Makes the files for SUMO's outputs; returns SUMO's arguments."""
        self.outputs = EpisodeOutputs()
        return self.outputs.arguments

    def begin(self, request: Begin) -> Stepped:
        """Starts to drive the signals."""
        self._run = EpisodeRun(request)
        return self._run.look()

    def step(self, request: Step) -> Stepped:
        """Advances the episode."""
        run = self._running()
        if request.watch is not None and self._recorder is None:
            self._recorder = EpisodeRecorder(request.watch)
            run.each_second = self._recorder.add
        stepped = run.step(request.decisions, request.to_s)
        if self._recorder is None or not self._recorder.is_done:
            return stepped
        shown, self._recorder, run.each_second = self._recorder.frames(), None, None
        return stepped.model_copy(update={"shown": shown})

    def try_candidates(self, request: Try, peer: Connection, prepare: Callable[[], None]) -> Tried:
        """Rolls out candidates.

        Args:
            request: The candidates.
            peer: The connection of the process that waits.
            prepare: Called first in each forked process.
        """
        run, began_s = self._running(), time.monotonic()

        def roll(candidate: Mapping[str, EpisodeDecision]) -> bytes:
            gc.disable()
            prepare()
            return self._trial(run, request, candidate).model_dump_json().encode()

        works = [partial(roll, candidate) for candidate in request.candidates]
        trials = try_all(works, request.at_once, request.limit_s, peer)
        return Tried(trials=trials, wall_s=time.monotonic() - began_s)

    def try_here(self, request: Try) -> Trial:
        """Rolls out its one candidate in this process, which is used up by it."""
        (candidate,) = request.candidates
        return self._trial(self._running(), request, candidate)

    def rehearse(self, request: Try) -> Trial:
        """Does what :meth:`try_here` does, without moving anything."""
        return self._running().rehearse(request.base)

    def end(self, targets: list[int]) -> Ended:
        """Closes the simulation and hands over its outputs.

        Args:
            targets: Descriptors of the files for :data:`OUTPUTS`.

        Raises:
            RolloutRejected: The simulation was opened without outputs.
        """
        if self.outputs is None:
            raise RolloutRejected("the simulation was opened without outputs", "no_outputs")
        time_s = float(libsumo.simulation.getTime())
        libsumo.close()
        for name, target in zip(OUTPUTS, targets, strict=True):
            self.outputs.hand_over(name, target)
            os.close(target)
        return Ended(time_s=time_s)

    def before_rollout(self) -> None:
        """In a process that is used up by a rollout."""
        if self.outputs is not None:
            self.outputs.silence()

    def become_other(self) -> None:
        """In a process that continues as another episode."""
        if self.outputs is not None:
            self.outputs.make_own()

    def _running(self) -> EpisodeRun:
        if self._run is None:
            raise RolloutRejected("no episode was begun here", "no_episode")
        return self._run

    def _trial(
        self, run: EpisodeRun, request: Try, candidate: Mapping[str, EpisodeDecision]
    ) -> Trial:
        try:
            return run.roll(candidate, request.horizon_s, request.base)
        except GreenforkError as exc:
            return Trial(error=ErrorInfo.of(exc))
        except _SUMO_ERRORS as exc:
            return Trial(error=ErrorInfo.of(RolloutRejected(f"SUMO refused: {exc}")))
        except Exception as exc:  # noqa: BLE001  a boundary
            return Trial(error=ErrorInfo.of(RolloutError(f"{type(exc).__name__}: {exc}")))
