"""Scenarios of which a reading that is not SUMO's own makes another simulation.

As in :mod:`tests.integration.sim_workers.variants`, every function writes one scenario into a
folder and returns its configuration.
"""

import shutil
from collections.abc import Callable
from pathlib import Path

from tests.integration.sim_workers.variant_parts import (
    CROSSING,
    END_S,
    GRID,
    WAYS,
    config,
    flow,
    flows,
    grid_trips,
    signal_program,
    trips,
    vehicles,
    with_demand,
    write,
)

__all__ = ["ODD_VARIANTS"]


def _number_without_end(folder: Path) -> Path:
    """Flows of a number of vehicles: SUMO spreads them until the end of the configuration."""
    write(
        folder / "flows.rou.xml",
        "routes",
        *(
            f'<flow id="f{i}" begin="0" number="60" from="{leg}_in" to="{way}_out"/>'
            for i, (leg, way) in enumerate(WAYS)
        ),
    )
    return config(folder, CROSSING, "flows.rou.xml")


def _flows_that_begin_later(folder: Path) -> Path:
    """Flows one after the other, the later ones behind what SUMO has read at the begin."""
    later = [
        flow(i, leg, way, 'period="exp(0.05)"').replace('begin="0"', f'begin="{begin_s}"')
        for i, (begin_s, (leg, way)) in enumerate(
            (begin_s, way) for begin_s in (0, 130, 260) for way in WAYS
        )
    ]
    write(folder / "flows.rou.xml", "routes", *later)
    return config(folder, CROSSING, "flows.rou.xml")


def _unsorted_behind_a_flow(folder: Path) -> Path:
    """SUMO ignores vehicles that depart before the one above them."""
    early = vehicles("early", every_s=4)
    late = vehicles("late", every_s=4)
    write(folder / "demand.rou.xml", "routes", flow(0, "n", "s", 'period="9"'), *early, *late)
    return config(folder, CROSSING, "demand.rou.xml")


def _two_files_and_a_flow(folder: Path) -> Path:
    """SUMO reads the files side by side, some 200 s at a time, and draws while it reads."""
    kind = '<vType id="van" length="7" speedFactor="norm(1,0.15,0.6,1.4)"/>'
    write(folder / "vans.rou.xml", "routes", kind, *vehicles("v", every_s=5, type="van"))
    write(folder / "cars.rou.xml", "routes", *trips("t", every_s=3))
    write(folder / "bus.rou.xml", "routes", flow(0, "n", "s", 'period="40"'))
    return config(folder, CROSSING, "vans.rou.xml,cars.rou.xml,bus.rou.xml")


def _a_share_that_reroutes(folder: Path) -> Path:
    """Who gets a device is drawn, for trips when they are read, for flows when they depart."""
    rates = [
        f'<flow id="f{i}" begin="0" end="{END_S}" period="17" from="{start}" to="{end}"/>'
        for i, (start, end) in enumerate((("left0A0", "B0right0"), ("right1B1", "A1left1")))
    ]
    write(folder / "demand.rou.xml", "routes", *rates, *grid_trips(every_s=2))
    shares = {"device.rerouting.probability": "0.4", "device.rerouting.period": "30"}
    return config(folder, GRID, "demand.rou.xml", **shares)


def _a_share_that_writes(folder: Path) -> Path:
    """A device that only writes draws from the generator that the others draw from, too."""
    write(folder / "trips.rou.xml", "routes", *grid_trips(every_s=2))
    return config(
        folder,
        GRID,
        "trips.rou.xml",
        **{
            "device.fcd.probability": "0.3",
            "device.rerouting.probability": "0.5",
            "device.rerouting.period": "20",
            "fcd-output": "fcd.xml",
        },
    )


def _default_namespace(folder: Path) -> Path:
    """SUMO takes no notice of namespaces."""
    demand = "\n".join(flows('period="exp(0.06)"'))
    (folder / "demand.rou.xml").write_text(
        f'<routes xmlns="http://town.example/routes">{demand}</routes>'
    )
    return config(folder, CROSSING, "demand.rou.xml")


def _names_of_people(folder: Path) -> Path:
    """Spaces and accents in names of files and in option values, as SUMO decodes them."""
    shutil.copy(CROSSING, folder / "my net é.net.xml")
    demand = [*flows('period="exp(0.05)"'), '<vehicle id="Löschzug" depart="90"><route edges="n_in']
    demand[-1] += ' s_out"/></vehicle>'
    write(folder / "demand.rou.xml", "routes", *demand)
    options = {"device.bluelight.explicit": "Löschzug"}
    return config(folder, Path("my%20net%20é.net.xml"), "demand.rou.xml", **options)


def _switched_off(folder: Path) -> Path:
    """A WAUT switches the signal off in the middle of the run, and on again."""
    phases = [(15, "GGrrrrGGrrrr"), (3, "yyrrrryyrrrr"), (15, "rrGGGGrrGGGG")]
    waut = (
        '<WAUT refTime="0" id="w" startProg="day"><wautSwitch time="150" to="off"/>'
        '<wautSwitch time="200" to="day"/></WAUT>'
        '<wautJunction wautID="w" junctionID="c"/>'
    )
    write(folder / "signals.add.xml", "additional", signal_program("day", phases), waut)
    return with_demand(folder, CROSSING, "signals.add.xml")


def _included(folder: Path) -> Path:
    """Demand in a file that another one includes, in a folder of its own."""
    (folder / "parts").mkdir()
    write(folder / "parts" / "cars.rou.xml", "routes", *vehicles("v", every_s=2))
    (folder / "demand.rou.xml").write_text('<routes><include href="parts/cars.rou.xml"/></routes>')
    return config(folder, CROSSING, "demand.rou.xml")


ODD_VARIANTS: dict[str, Callable[[Path], Path]] = {
    "number_without_end": _number_without_end,
    "flows_that_begin_later": _flows_that_begin_later,
    "unsorted_behind_a_flow": _unsorted_behind_a_flow,
    "two_files_and_a_flow": _two_files_and_a_flow,
    "a_share_that_reroutes": _a_share_that_reroutes,
    "a_share_that_writes": _a_share_that_writes,
    "default_namespace": _default_namespace,
    "names_of_people": _names_of_people,
    "switched_off": _switched_off,
    "included": _included,
}
