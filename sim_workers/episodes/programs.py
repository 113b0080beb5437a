"""Programs for SUMO's own controllers, replacing a network's fixed ones."""

from collections.abc import Mapping
from pathlib import Path
from xml.sax.saxutils import quoteattr

import defusedxml.ElementTree as SafeXml

from shared.legality import undecidable_reason
from shared.signals import Program, Signal, SignalState
from shared.wire.episodes import ProgramKind
from sim_workers.engine.fork_client import ForkServer
from sim_workers.engine.messages import Describe, Described, Observe, Observed, Open
from sim_workers.scenarios.config import read_configuration, render_configuration
from sim_workers.scenarios.files import unpacked

__all__ = [
    "add_programs",
    "controlled_links",
    "has_detector",
    "render_programs",
    "replace_programs",
]

_LIMIT_S = 600.0
_FILE = "greenfork.programs.add.xml"
_MIN_GREEN_S, _MAX_GREEN_S = 5, 50
"""netconvert's defaults for ``--tls.min-dur`` and ``--tls.max-dur``."""


def controlled_links(net: bytes) -> dict[str, dict[str, list[int]]]:
    """The indices of links by the traffic light that controls them and their incoming lane.

    Args:
        net: A network file, not gzipped.
    """
    found: dict[str, dict[str, list[int]]] = {}
    for link in SafeXml.fromstring(net).iter("connection"):
        if "tl" in link.attrib and "linkIndex" in link.attrib:
            lane = f"{link.attrib['from']}_{link.attrib['fromLane']}"
            lanes = found.setdefault(link.attrib["tl"], {})
            lanes.setdefault(lane, []).append(int(link.attrib["linkIndex"]))
    return found


def has_detector(state: str, lanes: Mapping[str, list[int]]) -> bool:
    """Whether SUMO can measure a green phase's traffic by some lane: one whose links are all green.

    A lane shared with a red link is no measure: vehicles standing on it may want to take that link.

    >>> lanes = {"n_0": [0, 1], "e_0": [2]}
    >>> has_detector("GGr", lanes), has_detector("rGr", lanes)
    (True, False)
    """
    return any(all(state[i : i + 1] == "G" for i in links) for links in lanes.values())


def replace_programs(fork_server: ForkServer, config: Path, kind: ProgramKind) -> None:
    """Gives a scenario's copy programs of another type, at the signals with something to decide.

    Args:
        fork_server: Starts the process that tells what there is.
        config: The configuration of the copy, as for :func:`add_programs`.
        kind: The type of program.

    Raises:
        RolloutError: SUMO refuses the scenario, or the process died.
    """
    with fork_server.open(Open(config=str(config), seed=0)) as handle:
        bounds = Describe(min_green_s=_MIN_GREEN_S, max_green_s=_MAX_GREEN_S)
        signals = handle.call(bounds, Described, _LIMIT_S).signals
        states = handle.call(Observe(tls_ids=()), Observed, _LIMIT_S).signals
    add_programs(config, kind, signals, states)


def add_programs(
    config: Path,
    kind: ProgramKind,
    signals: Mapping[str, Signal],
    states: Mapping[str, SignalState],
) -> None:
    """Gives every signal with something to decide a program of another type.

    Args:
        config: The configuration of a scenario's copy; a file is added next to it.
        kind: The type of program.
        signals: All signals of the network.
        states: Their states at the start.
    """
    programs = {
        tls_id: signal.programs[states[tls_id].program_id]
        for tls_id, signal in sorted(signals.items())
        if undecidable_reason(signal, states[tls_id].program_id) is None
    }
    options = dict(read_configuration(config).options)
    net = config.parent / options["net-file"]
    links = controlled_links(unpacked(net, net.read_bytes()))
    (config.parent / _FILE).write_text(render_programs(kind, programs, links))
    before = options.get("additional-files", "")
    options["additional-files"] = f"{before},{_FILE}" if before else _FILE
    config.write_bytes(render_configuration(options))


def render_programs(
    kind: ProgramKind,
    programs: Mapping[str, Program],
    links: Mapping[str, Mapping[str, list[int]]],
) -> str:
    """The additional file: the same phases, greens of 5 to 50 s, the others as long as before.

    Greens without a detector also keep their length: SUMO would show them for their maximum.
    """
    lines = ["<additional>"]
    for tls_id, program in programs.items():
        name = quoteattr(tls_id)
        lines.append(f'    <tlLogic id={name} type="{kind}" programID="{kind}" offset="0">')
        for phase in program.phases:
            shown = f'duration="{phase.duration_s:g}" state="{phase.state}"'
            if phase.is_green and has_detector(phase.state, links.get(tls_id, {})):
                shown += f' minDur="{_MIN_GREEN_S}" maxDur="{_MAX_GREEN_S}"'
            if phase.next_phases:
                shown += f' next="{" ".join(map(str, phase.next_phases))}"'
            lines.append(f"        <phase {shown}/>")
        lines.append("    </tlLogic>")
    return "\n".join([*lines, "</additional>", ""])
