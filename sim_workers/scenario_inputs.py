"""The input files of a scenario under names of our own, demand apart from infrastructure.

Decides where demand lives: in route files that are read again when a state is restored, or in the
states. Reading one file is :mod:`sim_workers.scenario_files`.
"""

import re
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from xml.etree.ElementTree import Element, tostring

from sim_workers.scenario_files import read_xml
from sim_workers.scenario_options import FILE_OPTIONS

__all__ = ["DEMAND_TAGS", "ScenarioInputs", "read_inputs", "render_input"]

_DRAWING_TAGS = {
    "container",
    "containerFlow",
    "flow",
    "person",
    "personFlow",
    "routeDistribution",
    "vTypeDistribution",
}
"""What draws random numbers while it is read; reading it again draws them again."""
DEMAND_TAGS = {
    "container",
    "containerFlow",
    "flow",
    "person",
    "personFlow",
    "trip",
    "vehicle",
}
_DEFINITION_TAGS = {"route", "routeDistribution", "vType", "vTypeDistribution"}
"""What demand refers to. A state defines it, too, and draws otherwise if it is defined twice."""
_NEED_DEFINITIONS = {"calibrator", "routeProbReroute"}
"""Infrastructure that cannot be read before the routes and types it names."""
_ROUTED_TAGS = ("flow", "vehicle")


@dataclass(frozen=True)
class ScenarioInputs:
    """Input files under their new names, by what they hold."""

    files: dict[str, bytes]
    networks: tuple[str, ...]
    additional: tuple[str, ...]
    demand: tuple[str, ...]
    weights: tuple[str, ...]
    is_demand_in_states: bool
    """Whether demand is all read at the begin, and is part of every state."""

    def run_options(self) -> dict[str, str]:
        """The options with which the scenario runs."""
        if self.is_demand_in_states:
            return self._options(self.additional + self.demand, ())
        return self._options(self.additional, self.demand)

    def restore_options(self) -> dict[str, str]:
        """The options with which a saved state of it continues."""
        if self.is_demand_in_states:
            return self._options(self.additional, ())
        return self._options(self.additional, self.demand)

    def _options(self, additional: tuple[str, ...], demand: tuple[str, ...]) -> dict[str, str]:
        given = {
            "net-file": self.networks,
            "additional-files": additional,
            "route-files": demand,
            "weight-files": self.weights,
        }
        return {option: ",".join(names) for option, names in given.items() if names}


def read_inputs(
    folder: Path, given: Mapping[str, str], is_varied: bool, within: Path | None = None
) -> ScenarioInputs:
    """Reads every input file.

    Args:
        folder: What relative paths are relative to.
        given: For each of the file options, the paths as the configuration lists them.
        is_varied: Whether SUMO will multiply or shift the demand while it reads it.
        within: No file may lie outside this folder; None: anywhere.

    Raises:
        ScenarioError: ``missing_file``, ``bad_xml``, ``too_large``, ``outside_bundle`` or
            ``unsupported_input``.
    """
    networks, additional, demand, weights = (
        [read_xml(path, within) for path in _paths(folder, given[option])]
        for option in FILE_OPTIONS
    )
    is_drawn = any(child.tag in _DRAWING_TAGS for root in additional + demand for child in root)
    # Demand of additional files may be in any order, so it cannot become a route file.
    taken_out = _take_out(additional, DEMAND_TAGS)
    is_in_states = is_varied or is_drawn or bool(taken_out)
    demand = taken_out + demand
    tags = {element.tag for root in additional for element in root.iter()}
    if is_in_states and not tags & _NEED_DEFINITIONS:
        demand = _take_out(additional, _DEFINITION_TAGS) + demand
    if is_varied:
        for number, root in enumerate(demand):
            _name_routes(root, f"demand{number}")
    files: dict[str, bytes] = {}
    return ScenarioInputs(
        files=files,
        networks=_add(files, "network{}.net.xml", networks),
        additional=_add(files, "additional{}.add.xml", additional),
        demand=_add(files, "demand{}.rou.xml", demand),
        weights=_add(files, "weights{}.xml", weights),
        is_demand_in_states=is_in_states,
    )


def _paths(folder: Path, value: str) -> Iterator[Path]:
    return (folder / part.strip() for part in re.split(r"[,;]", value) if part.strip())


def _take_out(roots: Sequence[Element], tags: Set[str]) -> list[Element]:
    """Takes what has these tags out of each file and returns it as files of its own."""
    taken = []
    for root in roots:
        children = [child for child in root if child.tag in tags]
        if children:
            routes = Element("routes")
            routes.extend(children)
            taken.append(routes)
        for child in children:
            root.remove(child)
    return taken


def _add(files: dict[str, bytes], pattern: str, roots: Sequence[Element]) -> tuple[str, ...]:
    names = tuple(pattern.format(number) for number in range(len(roots)))
    for name, root in zip(names, roots, strict=True):
        files[name] = render_input(root)
    return names


def render_input(root: Element) -> bytes:
    """An input file as it stands in a bundle."""
    return bytes(tostring(root, encoding="utf-8", xml_declaration=True))


def _name_routes(demand: Element, prefix: str) -> None:
    """Takes routes out of their vehicles and gives them names.

    SUMO forgets a vehicle's own route when that vehicle arrives. Where demand is multiplied, its
    clones still drive that route, and a state with such a clone cannot be loaded.
    """
    for index in reversed(range(len(demand))):
        owner = demand[index]
        route = owner.find("route") if owner.tag in _ROUTED_TAGS else None
        if route is not None and "id" not in route.attrib:
            owner.remove(route)
            route.set("id", f"{prefix}.{index}")
            owner.set("route", route.attrib["id"])
            demand.insert(index, route)
