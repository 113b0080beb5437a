"""Demand that a foreign state does not hold, because SUMO had not read it yet when it was saved.

SUMO reads route files ahead, a few hundred seconds at a time. A state of a scenario whose demand is
drawn while it is read (see :mod:`sim_workers.scenarios`) is continued without route files, because
ours hold all demand to come. One that plain SUMO saved does not: its roads would run empty. So what
was unread is given to it once, and it is saved again.
"""

import shutil
from collections.abc import Set
from dataclasses import dataclass
from pathlib import Path
from xml.etree.ElementTree import Element

from sim_workers.scenario_files import read_xml
from sim_workers.scenario_inputs import DEMAND_TAGS, render_input
from sim_workers.scenarios import CONFIG_NAME, RESTORE_CONFIG_NAME, read_file_options, with_files

__all__ = ["UnreadDemand", "unread_demand"]

_ADDITIONAL = "additional-files"


@dataclass(frozen=True)
class UnreadDemand:
    """The input files that a state's continuation has to be given once."""

    files: dict[str, bytes]
    """By name, in their order."""

    def write(self, scenario: Path, folder: Path) -> Path:
        """Writes a scenario that continues the state with them, and gives its configuration."""
        shutil.copytree(scenario, folder)
        for name, content in self.files.items():
            (folder / name).write_bytes(content)
        config = folder / RESTORE_CONFIG_NAME
        given = read_file_options(config).get(_ADDITIONAL, "")
        names = [*(given.split(",") if given else []), *self.files]
        config.write_bytes(with_files(config, {_ADDITIONAL: ",".join(names)}))
        return config


def unread_demand(scenario: Path, from_s: float | None, known: Set[str]) -> UnreadDemand | None:
    """What a state lacks; None where its continuation reads its demand itself, or it has it all.

    Args:
        scenario: The folder of its scenario.
        from_s: Demand from here on was unread, seconds; None: all was read.
        known: Ids of what is in the state.
    """
    ran = read_file_options(scenario / CONFIG_NAME)
    restored = read_file_options(scenario / RESTORE_CONFIG_NAME)
    if from_s is None or restored.get("route-files"):
        return None
    again = set(restored.get(_ADDITIONAL, "").split(","))
    names = [n for n in ran.get(_ADDITIONAL, "").split(",") if n and n not in again]
    files = {f"unread-{n}": _unread(read_xml(scenario / n, scenario), from_s, known) for n in names}
    return UnreadDemand({name: render_input(root) for name, root in files.items()})


def _unread(root: Element, from_s: float, known: Set[str]) -> Element:
    """The demand of a file from a time on, and all definitions: what it refers to is read first."""
    kept = Element(root.tag, root.attrib)
    has_passed = False
    for child in root:
        if child.tag not in DEMAND_TAGS:
            kept.append(child)
            continue
        begin_s = _begin_s(child)
        has_passed = has_passed or (begin_s is not None and begin_s >= from_s)
        is_unread = has_passed if begin_s is None else begin_s >= from_s
        if is_unread and child.get("id") not in known:
            kept.append(child)
    return kept


def _begin_s(child: Element) -> float | None:
    """When it departs first, seconds; None for ``triggered`` and the like."""
    try:
        return float(child.get("depart", child.get("begin", "0")))
    except ValueError:
        return None
