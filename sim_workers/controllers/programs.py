"""Programs of SUMO's own controllers, in the place of a network's fixed ones."""

from collections.abc import Mapping
from pathlib import Path
from xml.sax.saxutils import quoteattr

from shared.legality import undecidable_reason
from shared.signals import Program, Signal, SignalState
from sim_workers.controllers.controller import ProgramKind
from sim_workers.scenarios.config import read_configuration, render_configuration

__all__ = ["add_programs", "render_programs"]

_FILE = "greenfork.programs.add.xml"
_MIN_GREEN_S, _MAX_GREEN_S = 5, 50
"""netconvert's defaults of ``--tls.min-dur`` and ``--tls.max-dur``."""


def add_programs(
    config: Path,
    kind: ProgramKind,
    signals: Mapping[str, Signal],
    states: Mapping[str, SignalState],
) -> None:
    """Gives every signal that has something to decide a program of another type.

    Args:
        config: The configuration of a scenario's copy; a file is added beside it.
        kind: The type.
        signals: All of the network.
        states: What they are doing at the begin.
    """
    programs = {
        tls_id: signal.programs[states[tls_id].program_id]
        for tls_id, signal in sorted(signals.items())
        if undecidable_reason(signal, states[tls_id].program_id) is None
    }
    (config.parent / _FILE).write_text(render_programs(kind, programs))
    options = dict(read_configuration(config).options)
    before = options.get("additional-files", "")
    options["additional-files"] = f"{before},{_FILE}" if before else _FILE
    config.write_bytes(render_configuration(options))


def render_programs(kind: ProgramKind, programs: Mapping[str, Program]) -> str:
    """The additional file: the same phases, greens from 5 to 50 s, yellow and all-red as before."""
    lines = ["<additional>"]
    for tls_id, program in programs.items():
        name = quoteattr(tls_id)
        lines.append(f'    <tlLogic id={name} type="{kind}" programID="{kind}" offset="0">')
        for phase in program.phases:
            shown = f'duration="{phase.duration_s:g}" state="{phase.state}"'
            if phase.is_green:
                shown += f' minDur="{_MIN_GREEN_S}" maxDur="{_MAX_GREEN_S}"'
            if phase.next_phases:
                shown += f' next="{" ".join(map(str, phase.next_phases))}"'
            lines.append(f"        <phase {shown}/>")
        lines.append("    </tlLogic>")
    return "\n".join([*lines, "</additional>", ""])
