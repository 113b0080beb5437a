"""Finished runs, a JSON line each. A line is there whole, or it does not count."""

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from benchmarks.resco.plan import LOOK_AHEAD, Job
from shared.model import WireModel
from shared.wire.episodes import EpisodeFigures
from sim_workers.engine.episodes.messages import PhaseRule

__all__ = ["RESULTS", "BadResults", "Result", "Settings", "append", "read"]

RESULTS = Path(__file__).parent / "results.jsonl"


class BadResults(ValueError):
    """A line of the file, other than a last one that was cut off, is no finished run."""


class Settings(WireModel):
    """Look-ahead's."""

    horizon_s: int = 60
    base: PhaseRule = "greedy"
    passes: int = 1


class Result(WireModel):
    """A finished run of an hour."""

    network: str
    scenario_id: str
    """Names the network's files by what is in them."""
    protocol: str = "resco"
    controller: str
    settings: Settings | None
    """Of look-ahead; the others have none."""
    seed: int
    figures: EpisodeFigures
    decisions: int
    invalid: int
    deciding_s: float
    """Wall-clock seconds in which the controller made up its mind."""
    wall_s: float
    surroundings: dict[str, Any]
    """When, with which versions and on what hardware."""

    @property
    def job(self) -> Job:
        """What it is the result of."""
        return Job(self.network, self.controller, self.seed)

    @property
    def simulator(self) -> str:
        """The version of SUMO."""
        return str(self.surroundings["versions"]["libsumo"])

    def is_of(self, settings: Settings, simulator: str) -> bool:
        """Whether it is what a run with these settings would find now."""
        wanted = settings if self.controller == LOOK_AHEAD else None
        return self.settings == wanted and self.simulator == simulator


def append(path: Path, result: Result) -> None:
    """Adds a finished run; when this returns, it is on the disk.

    Several processes may add to one file.
    """
    line = json.dumps(result.model_dump(mode="json")) + "\n"
    file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        size = os.fstat(file).st_size
        is_cut = size > 0 and os.pread(file, 1, size - 1) != b"\n"
        os.write(file, (("\n" if is_cut else "") + line).encode())
        os.fsync(file)
    finally:
        os.close(file)


def read(paths: Iterable[Path]) -> list[Result]:
    """All finished runs; of a run that was done twice, the last.

    A line that was cut off when a process was killed is left out: it does not end in ``}``.

    Raises:
        BadResults: A whole line is no finished run.
    """
    found: dict[tuple[Job, str, str], Result] = {}
    for path in paths:
        if not path.exists():
            continue
        for number, line in enumerate(path.read_text().splitlines(), 1):
            if not line.endswith("}"):
                continue
            try:
                result = Result.model_validate_json(line)
            except ValidationError as exc:
                raise BadResults(f"{path}:{number} is no finished run: {exc}") from exc
            settings = result.settings.model_dump_json() if result.settings else ""
            found[result.job, settings, result.simulator] = result
    return list(found.values())
