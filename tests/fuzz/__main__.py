"""The long run: ``python -m tests.fuzz --seed 1 --count 200``. Exit status 1 if any fails."""

import argparse
import sys
import time
from collections import Counter
from pathlib import Path

from tests.fuzz.scenario import Scenario
from tests.fuzz.series import Series, try_case
from tests.fuzz.trial import FAILURES

_CASES = Path(__file__).parent / "cases"


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="of the series")
    parser.add_argument("--count", type=int, default=200, help="scenarios")
    parser.add_argument("--first", type=int, default=0, help="number of the first")
    parser.add_argument("--only", type=int, nargs="*", help="these numbers alone")
    parser.add_argument("--tries", type=int, default=24, help="to make a failing one smaller")
    parser.add_argument("--jobs", type=int, default=1, help="scenarios at once")
    parser.add_argument("--work", type=Path, default=Path("runs/fuzz"), help="folder")
    parser.add_argument(
        "--case", type=Path, action="append", help="try kept cases alone: a file, or 'all'"
    )
    return parser.parse_args()


def _try_cases(files: list[Path], work: Path) -> int:
    failed = 0
    for file in files:
        trial = try_case(Scenario.from_json(file.read_text(encoding="utf-8")), work)
        failed += trial.verdict in FAILURES
        _say(f"{file.stem}: {trial.verdict} {trial.detail}")
    return failed


def _show(series: Series) -> None:
    _say(f"\n{'feature':34} {'scenarios':>9} {'failed':>7}")
    for feature, count, failed in series.feature_table():
        _say(f"{feature:34} {count:9} {failed or '':>7}")
    for verdict, count in Counter(each.verdict for each in series.trials).most_common():
        _say(f"{count:4} {verdict}")


def _show_cases(series: Series) -> None:
    for case in series.cases:
        name = case.scenario.name
        _say(f"\n{series.alike[name]} like {name} (kept in {series.work}/cases): {case.kind}")
        _say(f"  {', '.join(sorted(case.scenario.features))}\n  {case.detail}")


def main() -> int:
    """Tries what the arguments say."""
    given = _arguments()
    if given.case:
        files = sorted(_CASES.glob("*.json")) if given.case == [Path("all")] else given.case
        return 1 if _try_cases(files, given.work) else 0
    series = Series(given.seed, given.work.absolute(), _say)
    began = time.monotonic()
    series.run(given.only or range(given.first, given.first + given.count), given.jobs)
    _show(series)
    series.explain(given.tries)
    _show_cases(series)
    failed = sum(trial.verdict in FAILURES for trial in series.trials)
    answers = [answer for trial in series.trials for answer in trial.answers]
    queued = sum(any(answer.queue) for answer in answers)
    _say(
        f"\n{len(series.trials)} scenarios, {failed} failed; {len(answers)} decisions compared, "
        f"{queued} of them with a queue; {time.monotonic() - began:.0f} s"
    )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
