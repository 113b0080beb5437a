"""Small scenarios with signal programs that our own two do not have."""

from pathlib import Path

from tests.integration.sim_workers.variant_parts import (
    CROSSING,
    GRID,
    config,
    grid_trips,
    netgenerate,
    signal_program,
    with_demand,
    write,
)

__all__ = [
    "actuated",
    "all_red_and_shared_lanes",
    "another_program",
    "delay_based",
    "joined_signal",
    "off_then_on",
    "single_green",
    "switched_programs",
]


def another_program(folder: Path) -> Path:
    """An additional file brings a program that takes the place of the network's."""
    program = signal_program(
        "other", [(20, "GGrrrrGGrrrr"), (4, "yyrrrryyrrrr"), (25, "rrGGGGrrGGGG")]
    )
    write(folder / "signals.add.xml", "additional", program)
    return with_demand(folder, CROSSING, "signals.add.xml")


def switched_programs(folder: Path) -> Path:
    """A WAUT switches between two programs in the middle of the run."""
    programs = [
        signal_program("day", [(15, "GGrrrrGGrrrr"), (3, "yyrrrryyrrrr"), (15, "rrGGGGrrGGGG")]),
        signal_program("night", [(30, "GGrrrrGGrrrr"), (3, "yyrrrryyrrrr"), (12, "rrGGGGrrGGGG")]),
    ]
    waut = (
        '<WAUT refTime="0" id="w" startProg="day"><wautSwitch time="120" to="night"/>'
        '<wautSwitch time="240" to="day"/></WAUT>'
        '<wautJunction wautID="w" junctionID="c"/>'
    )
    write(folder / "signals.add.xml", "additional", *programs, waut)
    return with_demand(folder, CROSSING, "signals.add.xml")


def actuated(folder: Path) -> Path:
    """An actuated program of an additional file, and its parameters."""
    phases = [(20, "GGrrrrGGrrrr"), (3, "yyrrrryyrrrr"), (20, "rrrGGrrrrGGr"), (3, "rrryyrrrryyr")]
    lefts = [(12, "rrGrrrrrGrrr"), (3, "rryrrrrryrrr"), (12, "rrrrrGrrrrrG"), (3, "rrrrryrrrrry")]
    program = signal_program(
        "actuated",
        phases + lefts,
        kind="actuated",
        inside='<param key="max-gap" value="2.5"/>',
        green='minDur="6" maxDur="40"',
    )
    write(folder / "signals.add.xml", "additional", program)
    return with_demand(folder, CROSSING, "signals.add.xml")


def delay_based(folder: Path) -> Path:
    """A program that follows the time lost by approaching vehicles."""
    phases = [(20, "GGGrrrGGGrrr"), (3, "yyyrrryyyrrr"), (20, "rrrGGGrrrGGG"), (3, "rrryyyrrryyy")]
    program = signal_program("d", phases, kind="delay_based", green='minDur="6" maxDur="40"')
    write(folder / "signals.add.xml", "additional", program)
    return with_demand(folder, CROSSING, "signals.add.xml")


def joined_signal(folder: Path) -> Path:
    """One signal controls two junctions."""
    network = netgenerate(folder, "--tls.join", "--tls.join-dist=250")
    write(folder / "trips.rou.xml", "routes", *grid_trips())
    return config(folder, network, "trips.rou.xml")


def all_red_and_shared_lanes(folder: Path) -> Path:
    """Greens that share lanes, and phases in which all is red."""
    phases = [
        (12, "GGGrrrGGgrrr"),
        (8, "GGGrrrrrrrrr"),
        (3, "yyyrrrrrrrrr"),
        (2, "rrrrrrrrrrrr"),
        (15, "rrrGGgrrrGGg"),
        (3, "rrryyyrrryyy"),
        (2, "rrrrrrrrrrrr"),
    ]
    write(folder / "signals.add.xml", "additional", signal_program("shared", phases))
    return with_demand(folder, CROSSING, "signals.add.xml")


def single_green(folder: Path) -> Path:
    """A signal with one green only, beside three with two."""
    gate = (
        '<tlLogic id="A0" type="static" programID="gate" offset="0">'
        '<phase duration="25" state="GGGgooooGGGgoooo"/><phase duration="4" '
        'state="yyyyooooyyyyoooo"/><phase duration="12" state="rrrroooorrrroooo"/></tlLogic>'
    )
    write(folder / "signals.add.xml", "additional", gate)
    write(folder / "trips.rou.xml", "routes", *grid_trips())
    return config(folder, GRID, "trips.rou.xml", "signals.add.xml")


def off_then_on(folder: Path) -> Path:
    """Three of four signals are off or only blink."""
    dark = [
        f'<tlLogic id="{tls_id}" type="static" programID="dark" offset="0">'
        f'<phase duration="60" state="{letter * 16}"/></tlLogic>'
        for tls_id, letter in (("A0", "O"), ("A1", "o"))
    ]
    off = '<tlLogic id="B0" type="off" programID="off" offset="0"/>'
    write(folder / "signals.add.xml", "additional", *dark, off)
    write(folder / "trips.rou.xml", "routes", *grid_trips())
    return config(folder, GRID, "trips.rou.xml", "signals.add.xml")
