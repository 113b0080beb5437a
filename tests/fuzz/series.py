"""A series of generated scenarios: tried one after the other, counted, and what fails kept."""

import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

from tests.fuzz.generator import draw_scenario
from tests.fuzz.networks import make_network
from tests.fuzz.scenario import Scenario, write_scenario
from tests.fuzz.shrinking import shrink
from tests.fuzz.trial import FAILURES, Trial, Verdict, is_unsteady, try_scenario, try_served

__all__ = ["Series", "try_case"]

_EVERY = 3
"""Of the exact scenarios, one in so many is scored over HTTP."""
_PLAIN = {
    *("grid", "spider", "random", "end", "begin in the morning", "only replays"),
    *("seed given", "seed in the configuration", "decisions: extend", "policy: program"),
}
"""What nearly every scenario has, and what therefore explains nothing."""


@dataclass
class Series:
    """Scenarios that are tried, and what was found so far."""

    seed: int
    work: Path
    say: Callable[[str], None]
    trials: list[Trial] = field(default_factory=list)
    cases: list[Trial] = field(default_factory=list)
    """Of each kind of failure, the smallest scenario."""
    alike: Counter[str] = field(default_factory=Counter)
    """By name of a case, how many scenarios fail as it does."""

    def run(self, numbers: Sequence[int], jobs: int) -> None:
        """Tries scenarios, some at once; a share of those that are exact is scored over HTTP."""
        shutil.rmtree(self.work / "scenarios", ignore_errors=True)
        with ThreadPoolExecutor(jobs) as pool:
            self.trials = list(pool.map(self._try, numbers))
        exact = [trial for trial in self.trials if trial.verdict is Verdict.EXACT]
        chosen = exact[::_EVERY]
        self.say(f"scoring {len(chosen)} of {len(exact)} exact scenarios over HTTP")
        shutil.rmtree(self.work / "service", ignore_errors=True)
        for served in try_served(chosen, self.work / "service"):
            self._replace(served)
            self.say(f"{served.scenario.name} over HTTP: {served.verdict} {served.detail}")

    def explain(self, tries: int) -> None:
        """Makes failing scenarios smaller, those with the fewest features first.

        Args:
            tries: How many smaller scenarios are tried of each that fails as no other one does.
        """
        failed = [trial for trial in self.trials if trial.verdict in FAILURES]
        for trial in sorted(failed, key=lambda each: len(_essence(each))):
            self._explain(trial, tries)

    def _replace(self, trial: Trial) -> None:
        names = [each.scenario.name for each in self.trials]
        self.trials[names.index(trial.scenario.name)] = trial

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

    def _explain(self, trial: Trial, tries: int) -> None:
        """Finds a case that the trial is like, or makes one of it."""
        for case in self.cases:
            if case.kind == trial.kind and _essence(case) <= trial.scenario.features:
                self.alike[case.scenario.name] += 1
                return
        if is_unsteady(trial, self._folder(trial.scenario)):
            self._replace(replace(trial, verdict=Verdict.UNSTEADY))
            return
        case = self._smallest(trial, tries)
        self.cases.append(case)
        self.alike[case.scenario.name] += 1
        self.say(f"  case {case.scenario.name}: {', '.join(sorted(_essence(case)))}: {case.detail}")
        kept = self.work / "cases" / case.scenario.name
        shutil.rmtree(kept, ignore_errors=True)
        network = make_network(case.scenario.network, self.work / "networks")
        write_scenario(case.scenario, network.path, kept)
        (kept / "case.json").write_text(case.scenario.to_json(), encoding="utf-8")
        (kept / "found.txt").write_text(f"{case.kind}\n{case.detail}\n", encoding="utf-8")

    def _smallest(self, trial: Trial, tries: int) -> Trial:
        last = trial

        def fails(scenario: Scenario) -> bool:
            nonlocal last
            found = try_case(scenario, self.work)
            if found.kind == trial.kind:
                last = found
            return found.kind == trial.kind

        self.say(f"  making {trial.scenario.name} smaller")
        shrink(trial.scenario, fails, tries)
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
