"""An episode once more, by plain ``sumo`` on the user's own configuration, driven over TraCI.

Nothing of the engine takes part: no fork, no driver, no libsumo. What was told to the signals is
told to them again, at the same times, and the trips that SUMO writes are the proof.
"""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from shared.errors import RolloutCrashed, RolloutRejected
from shared.wire.episodes import ControlAction
from sim_workers.scenarios.files import silenced
from sim_workers.scenarios.scenario import Original, write_files
from sim_workers.verification.reference_control import HALF_MS
from sim_workers.verification.reference_simulation import connected

__all__ = ["replay_episode"]

_FOLDER = "original"
_TRIPS = "tripinfo.xml"
_END_LIMIT_S = 120
_OUTPUTS = ("tripinfo-output", "summary-output", "statistic-output")


def replay_episode(
    sumo: Path,
    original: Original,
    run: Sequence[str],
    actions: Sequence[ControlAction],
    end_s: float,
) -> bytes:
    """SUMO's tripinfo output of an episode.

    Args:
        sumo: The program.
        original: The user's own configuration and files.
        run: Further arguments: the seed, the scale, a protocol's.
        actions: What was told to the signals, in order.
        end_s: When the episode ended, seconds of simulated time.

    Raises:
        RolloutRejected: SUMO refuses the run or a call, or has no step at an action's time.
        RolloutCrashed: Its process ended before its time.
    """
    from traci.exceptions import FatalTraCIError, TraCIException

    with TemporaryDirectory(prefix="greenfork-episode-") as folder:
        root = Path(folder).resolve()
        write_files(root / _FOLDER, silenced(original.files))
        command = [*_without_outputs(original.arguments(_FOLDER)), *run, *_trip_arguments()]
        try:
            with connected(sumo, root, command, original.variables, may_end=True) as simulation:
                for action in actions:
                    _step_to(simulation, action.time_s)
                    call = getattr(simulation.trafficlight, action.call)
                    call(action.tls_id, *action.arguments)
                _step_to(simulation, end_s)
                simulation.close()
        except FatalTraCIError as exc:
            raise RolloutCrashed(f"sumo ended prematurely: {exc}") from exc
        except TraCIException as exc:
            raise RolloutRejected(f"sumo refuses: {exc}") from exc
        try:
            return (root / _TRIPS).read_bytes()
        except OSError as exc:
            raise RolloutCrashed("sumo wrote no trips") from exc


def _step_to(simulation, time_s: float) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001  traci is untyped
    now_s = simulation.simulation.getTime()
    if now_s < time_s - HALF_MS:
        simulation.simulationStep(float(time_s))
        now_s = simulation.simulation.getTime()
    if abs(now_s - time_s) > HALF_MS:
        raise RolloutRejected(f"the run is at {now_s:g} s, and never at {time_s:g} s")


def _trip_arguments() -> tuple[str, ...]:
    return (
        f"--tripinfo-output={_TRIPS}",
        "--tripinfo-output.write-unfinished=true",
        "--tripinfo-output.write-undeparted=true",
    )


def _without_outputs(arguments: Sequence[str]) -> list[str]:
    """The arguments of a run that writes nothing, without those that would be given twice."""
    pairs = [arguments[i : i + 2] for i in range(0, len(arguments), 2)]
    return [each for pair in pairs if pair[0].lstrip("-") not in _OUTPUTS for each in pair]
