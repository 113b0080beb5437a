"""Finished runs as they are written down."""

from benchmarks.resco.results import Result, Settings
from shared.wire.episodes import EpisodeFigures

__all__ = ["a_result", "with_delay"]


def with_delay(delay_s: float, gridlocked: bool = False) -> EpisodeFigures:
    """Figures of an hour with this average delay."""
    return EpisodeFigures(
        vehicles=100,
        delay_s=delay_s,
        travel_time_s=delay_s + 20,
        travel_time_all_s=delay_s + 20,
        wait_s=1,
        queue_veh=1,
        throughput_veh=100,
        backlog_veh=0,
        teleports=0,
        collisions=0,
        emergency_stops=0,
        switches=10,
        gridlocked=gridlocked,
    )


def a_result(
    controller: str = "greedy",
    seed: int = 1,
    delay_s: float = 20,
    network: str = "cologne1",
    settings: Settings | None = None,
    simulator: str = "1.28.0",
    gridlocked: bool = False,
) -> Result:
    """A run of an hour in which 360 decisions took 36 s."""
    return Result(
        network=network,
        scenario_id=f"{network}-0123456789ab",
        controller=controller,
        settings=settings,
        seed=seed,
        figures=with_delay(delay_s, gridlocked),
        decisions=360,
        invalid=0,
        deciding_s=36,
        wall_s=40,
        surroundings={"versions": {"libsumo": simulator}},
    )
