"""Look-ahead beside the bare stepping of its rollouts.

Some decisions of an episode are made by look-ahead, after a while under its base policy. The bare
stepping of a rollout is what plain libsumo takes from the same moment over the same horizon, going
on as it was decided: the steps, and reading what the rollout costs.
"""

import statistics
import time
from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks.episodes.jobs import Job, Loop, Stage, job_of, on_stage, run_module
from shared.wire.episodes import EpisodeDecision
from sim_workers.controllers.look_ahead import LookAheadController, LookAheadSettings
from sim_workers.controllers.rules import by_rule
from sim_workers.episodes.episode import Episode

__all__ = ["measure_look_ahead", "print_look_ahead"]

_WARMUP_S = 900
_HORIZON_S = 60


class _Timed:
    """Look-ahead after a while under its base policy; what each of its decisions took."""

    def __init__(self, begin_s: float, end_s: float, at_once: int) -> None:
        settings = LookAheadSettings(horizon_s=_HORIZON_S, at_once=at_once)
        self._controller = LookAheadController(settings)
        self._from_s, self._to_s = begin_s + _WARMUP_S, end_s - _HORIZON_S
        self.decisions: list[tuple[float, int, float]] = []
        """Of each: when, how many rollouts, and wall seconds."""
        self.restored = 0

    def decide(self, episode: Episode) -> Mapping[str, EpisodeDecision]:
        """What is decided now."""
        now_s, before = episode.seen.time_s, self._controller.rollouts
        if not self._from_s <= now_s < self._to_s:
            return by_rule("greedy", episode)
        began_s = time.perf_counter()
        decided = self._controller.decide(episode)
        took_s = time.perf_counter() - began_s
        self.decisions.append((now_s, self._controller.rollouts - before, took_s))
        self.restored = episode.trials.restored
        return decided


def measure_look_ahead(network: str, decisions: int, rounds: int, at_once: int) -> dict[str, Any]:
    """What look-ahead takes, over the bare stepping of its rollouts; medians of the rounds.

    Args:
        network: One of RESCO's.
        decisions: Moments at which it decides.
        rounds: How often the same episode is driven.
        at_once: Rollouts side by side.
    """
    found = []
    with on_stage(network) as stage:
        for _ in track(range(rounds), f"{network}, look-ahead", console=Console(stderr=True)):
            found.append(_round(stage, decisions, at_once))
    assert len({one["rollouts"] for one in found}) == 1, "equal episodes decide alike"  # noqa: S101
    first = found[0]
    medians = {
        name: round(statistics.median(one[name] for one in found), 3)
        for name in ("took_s", "bare_s", "ratio")
    }
    rates = {"decisions_per_s": round(first["decisions"] / medians["took_s"], 2)}
    asked = {"network": network, "horizon_s": _HORIZON_S, "at_once": at_once}
    return asked | first | medians | rates


def _round(stage: Stage, decisions: int, at_once: int) -> dict[str, Any]:
    begin_s = stage.scenario.begin_s
    length_s = _WARMUP_S + 10 * decisions + _HORIZON_S
    timed = _Timed(begin_s, begin_s + length_s, at_once)
    job = job_of(stage, length_s, timed.decide)
    bare_s = _bare_s(timed, job, _plain(stage, job))
    took_s = sum(one_s for _, _, one_s in timed.decisions)
    return {
        "decisions": len(timed.decisions),
        "rollouts": sum(count for _, count, _ in timed.decisions),
        "restored": timed.restored,
        "took_s": took_s,
        "bare_s": bare_s,
        "ratio": took_s / bare_s,
    }


def _plain(stage: Stage, job: Job) -> Loop:
    return run_module("plain", job.model_copy(update={"reads_all": False}), stage.folder)


def _bare_s(timed: _Timed, job: Job, plain: Loop) -> float:
    """The bare stepping of all rollouts."""
    done_s = (0.0, *plain.seconds_s)
    total_s = 0.0
    for now_s, rollouts, _ in timed.decisions:
        at = round(now_s - job.begin_s)
        total_s += rollouts * (done_s[at + _HORIZON_S] - done_s[at])
    return total_s


def print_look_ahead(found: dict[str, Any]) -> None:
    """Prints a table."""
    title = f"{found['network']}: look-ahead, {found['horizon_s']} s, {found['at_once']} at a time"
    table = Table(title=title, title_justify="left", show_header=False)
    table.add_row("decisions", str(found["decisions"]))
    table.add_row("rollouts", f"{found['rollouts']}, of them restored {found['restored']}")
    table.add_row("took", f"{found['took_s']:.2f} s")
    table.add_row("bare stepping of its rollouts", f"{found['bare_s']:.2f} s")
    table.add_row("ratio, median of the rounds", f"{found['ratio']:.2f}")
    table.add_row("decisions a second", f"{found['decisions_per_s']:.2f}")
    Console(width=100).print(table)
