"""A series of generated scenarios: tried one after the other, counted, and what fails kept."""

import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from tests.fuzz.generator import draw_scenario
from tests.fuzz.networks import make_network
from tests.fuzz.scenario import Scenario, write_scenario
from tests.fuzz.shrinking import shrink
from tests.fuzz.trial import FAILURES, Trial, Verdict, is_unsteady, try_scenario, try_served

__all__ = ["Series", "try_case"]

_PLAIN = {"grid", "spider", "random", "seed given", "decisions: extend", "policy: program", "end"}
"""What nearly every scenario has, and what therefore explains nothing."""


@dataclass
class Series:
    """Scenarios that are tried, and what was found so far."""

    seed: int
    work: Path
    say: Callable[[str], None]
    tries: int = 24
    """How many smaller scenarios are tried of each that fails; 0 shrinks none."""
    trials: list[Trial] = field(default_factory=list)
    cases: list[Trial] = field(default_factory=list)
    """Of each kind of failure, the smallest scenario."""
    alike: Counter[str] = field(default_factory=Counter)
    """By name of a case, how many scenarios fail as it does."""

    def run(self, first: int, count: int, batch: int = 20) -> None:
        """Tries scenarios; those of a batch that are exact are then scored over HTTP."""
        for start in range(first, first + count, batch):
            numbers = range(start, min(start + batch, first + count))
            self._run_batch(numbers)

    def _run_batch(self, numbers: range) -> None:
        built = [self._try(number) for number in numbers]
        served = try_served(built, self.work / f"service-{numbers[0]}")
        self.trials += served
        counts = Counter(trial.verdict for trial in self.trials)
        said = ", ".join(f"{count} {verdict}" for verdict, count in counts.most_common())
        self.say(f"{len(self.trials)} tried: {said}")
        for trial in served:
            if trial.verdict in FAILURES:
                self._explain(trial)
            shutil.rmtree(self._folder(trial.scenario), ignore_errors=True)

    def _try(self, number: int) -> Trial:
        began = time.monotonic()
        scenario, network = draw_scenario(self.seed, number, self.work / "networks")
        folder = self._folder(scenario)
        shutil.rmtree(folder, ignore_errors=True)
        trial = try_scenario(scenario, network, folder)
        took_s = time.monotonic() - began
        self.say(f"{scenario.name}: {trial.verdict}, {took_s:.0f} s {trial.detail[:160]}")
        return trial

    def _folder(self, scenario: Scenario) -> Path:
        return self.work / "scenarios" / scenario.name

    def _explain(self, trial: Trial) -> None:
        """Finds a case that the trial is like, or makes one of it."""
        for case in self.cases:
            if case.kind == trial.kind and _essence(case) <= trial.scenario.features:
                self.alike[case.scenario.name] += 1
                return
        if is_unsteady(trial, self._folder(trial.scenario)):
            self.trials[self.trials.index(trial)] = replace(trial, verdict=Verdict.UNSTEADY)
            return
        case = self._smallest(trial)
        self.cases.append(case)
        self.alike[case.scenario.name] += 1
        self.say(f"  case {case.scenario.name}: {', '.join(sorted(_essence(case)))}: {case.detail}")
        kept = self.work / "cases" / case.scenario.name
        shutil.rmtree(kept, ignore_errors=True)
        network = make_network(case.scenario.network, self.work / "networks")
        write_scenario(case.scenario, network.path, kept)
        (kept / "case.json").write_text(case.scenario.to_json(), encoding="utf-8")
        (kept / "found.txt").write_text(f"{case.kind}\n{case.detail}\n", encoding="utf-8")

    def _smallest(self, trial: Trial) -> Trial:
        last = trial

        def fails(scenario: Scenario) -> bool:
            nonlocal last
            found = try_case(scenario, self.work)
            if found.kind == trial.kind:
                last = found
            return found.kind == trial.kind

        self.say(f"  making {trial.scenario.name} smaller")
        shrink(trial.scenario, fails, self.tries)
        return last

    def feature_table(self) -> Iterator[tuple[str, int, int]]:
        """Each feature, how many scenarios had it, and how many of those failed."""
        seen: Counter[str] = Counter()
        failed: Counter[str] = Counter()
        for trial in self.trials:
            seen.update(trial.scenario.features)
            failed.update(trial.scenario.features if trial.verdict in FAILURES else ())
        for feature, count in sorted(seen.items()):
            yield feature, count, failed[feature]


def try_case(scenario: Scenario, work: Path) -> Trial:
    """Tries one scenario in a folder that is gone afterwards."""
    folder = work / "case"
    shutil.rmtree(folder, ignore_errors=True)
    network = make_network(scenario.network, work / "networks")
    try:
        return try_scenario(scenario, network, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _essence(case: Trial) -> frozenset[str]:
    return case.scenario.features - _PLAIN
