"""Finished episodes made up here: what their signals showed, and what SUMO put out."""

from collections.abc import Sequence

from shared.wire.episodes import EpisodeFigures, EpisodeRequest
from sim_workers.controllers.control_run import ControlRun
from sim_workers.engine.episodes.messages import GreenShown
from sim_workers.episodes.episode import FinishedEpisode
from sim_workers.episodes.figures import Outputs
from sim_workers.episodes.record import EpisodeRecord, EpisodeSpec

__all__ = ["BEGIN_S", "END_S", "FIGURES", "run_of"]

BEGIN_S, END_S = 25_200, 25_500
FIGURES = EpisodeFigures(
    vehicles=3,
    delay_s=20.0,
    travel_time_s=40.0,
    travel_time_all_s=45.0,
    wait_s=10.0,
    queue_veh=1.0,
    throughput_veh=2,
    backlog_veh=1,
    teleports=0,
    collisions=0,
    emergency_stops=0,
    switches=4,
    gridlocked=False,
)
_TRIPS = (
    b"<tripinfos>"
    b'<tripinfo id="a" depart="25200.00" departDelay="0.00" arrival="25240.00" duration="40.00"'
    b' timeLoss="12.00" waitingTime="5.00" routeLength="300.50"/>'
    b'<tripinfo id="b" depart="25210.00" departDelay="2.50" arrival="-1.00" duration="290.00"'
    b' timeLoss="80.00" waitingTime="60.00" routeLength="120.00"/>'
    b'<tripinfo id="c" depart="-1.00" departDelay="100.00" arrival="-1.00" duration="0.00"'
    b' timeLoss="0.00" waitingTime="0.00" routeLength="0.00"/>'
    b"</tripinfos>"
)


def run_of(
    controller: str,
    greens: Sequence[tuple[float, str, int | None]] = (),
    seed: int = 1,
    is_told: bool = True,
    signals: tuple[str, ...] = ("a", "b"),
) -> ControlRun:
    """A controller's episode of five minutes and three vehicles.

    Args:
        controller: Its name.
        greens: What signals have begun to show: when, which signal, which phase or none.
        seed: The episode's.
        is_told: Whether SUMO's summary is there; a service does not tell it.
        signals: Those that are steered.
    """
    halting = (f'<step running="9" halting="{n % 9}" arrived="0"/>' for n in range(END_S - BEGIN_S))
    summary = f"<summary>{''.join(halting)}</summary>".encode() if is_told else b""
    request = EpisodeRequest(scenario_id="x", end_s=END_S, signals=signals)
    spec = EpisodeSpec.of(request, seed, BEGIN_S, None)
    finished = FinishedEpisode(
        FIGURES,
        Outputs(_TRIPS, summary, b""),
        (),
        EpisodeRecord(spec=spec),
        tuple(GreenShown(time_s=at_s, tls_id=tls, phase=phase) for at_s, tls, phase in greens),
    )
    return ControlRun(controller, seed, finished, None)
