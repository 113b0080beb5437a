"""What trips, seconds and incidents add up to."""

import pytest

from shared.errors import RolloutError
from sim_workers.episodes.figures import (
    Summary,
    TripFigures,
    incidents,
    is_gridlocked,
    trip_elements,
    trips_of,
)

_TRIP = (
    '<tripinfo id="{0}" depart="{1}" departDelay="{2}" arrival="{3}" duration="{4}" '
    'timeLoss="{5}" waitingTime="{6}" routeLength="100.00"'
)


def _tripinfo(*trips: tuple[object, ...]) -> bytes:
    rows = "".join(f"    {_TRIP.format(*trip)}/>\n" for trip in trips)
    return f'<!-- <tripinfo-output value="x"/> -->\n<tripinfos>\n{rows}</tripinfos>\n'.encode()


ARRIVED = ("a", "10.00", "2.00", "60.00", "50.00", "20.00", "12.00")
UNFINISHED = ("b", "40.00", "0.00", "-1.00", "60.00", "30.00", "25.00")
NEVER = ("c", "-1", "40.00", "-1.00", "0.00", "0.00", "0.00")
NOT_DUE = ("d", "-1", "0.00", "-1.00", "0.00", "0.00", "0.00")


def test_unfinished_and_undeparted_trips_count() -> None:
    """Delay and travel time of all include them; the mean of arrived trips does not."""
    figures = TripFigures.of(trips_of(_tripinfo(ARRIVED, UNFINISHED, NEVER, NOT_DUE)))
    assert figures == TripFigures(
        vehicles=3,
        delay_s=(20 + 2 + 30 + 0 + 40) / 3,
        travel_time_s=50,
        travel_time_all_s=(52 + 60 + 40) / 3,
        wait_s=(12 + 25) / 2,
        throughput_veh=1,
        backlog_veh=1,
    )


def test_without_vehicles_there_are_no_means() -> None:
    """An empty road has no delay of 0."""
    figures = TripFigures.of(trips_of(_tripinfo()))
    assert (figures.delay_s, figures.travel_time_s, figures.wait_s) == (None, None, None)
    assert (figures.vehicles, figures.throughput_veh, figures.backlog_veh) == (0, 0, 0)


def test_trip_elements_are_bytes_and_nothing_else() -> None:
    """The header's options and the root are not among them; children are."""
    inner = b'<tripinfo id="x" depart="1"><emissions CO="1"/></tripinfo>'
    whole = _tripinfo(ARRIVED).replace(b"</tripinfos>", inner + b"</tripinfos>")
    first, second = trip_elements(whole)
    assert first == f"{_TRIP.format(*ARRIVED)}/>".encode()
    assert second == inner


def test_a_broken_output_is_an_error() -> None:
    """Half a file makes no figures."""
    with pytest.raises(RolloutError) as refused:
        trips_of(_tripinfo(ARRIVED)[:-20])
    assert refused.value.code == "bad_output"
    with pytest.raises(RolloutError) as refused:
        incidents(b"<statistics/>")
    assert refused.value.code == "bad_output"


def test_incidents_are_the_statistics() -> None:
    """Teleports, collisions and emergency stops."""
    statistic = (
        b'<statistics><teleports total="4" jam="3"/>'
        b'<safety collisions="2" emergencyStops="1" emergencyBraking="7"/></statistics>'
    )
    assert incidents(statistic) == (4, 2, 1)


@pytest.mark.parametrize(
    ("stuck_s", "halting", "expected"),
    [(600, 11, True), (599, 11, False), (900, 10, False)],
)
def test_a_gridlock_is_ten_minutes_without_an_arrival(
    stuck_s: int, halting: int, expected: bool
) -> None:
    """While more than a tenth of those in the network stand."""
    flowing = [Summary(running=100, halting=50, arrived=second) for second in range(1, 300)]
    stuck = [Summary(running=100, halting=halting, arrived=299)] * stuck_s
    going = [Summary(running=100, halting=50, arrived=300 + second) for second in range(300)]
    assert is_gridlocked([*flowing, *stuck, *going]) is expected


def test_a_gridlock_is_counted_in_seconds() -> None:
    """Half-second steps need twice as many."""
    stuck = [Summary(running=10, halting=9, arrived=0)] * 1000
    assert is_gridlocked(stuck)
    assert not is_gridlocked(stuck, per_s=2)


def test_an_empty_network_is_not_gridlocked() -> None:
    """Nobody arrives where nobody is."""
    assert not is_gridlocked([Summary(running=0, halting=0, arrived=0)] * 2000)
