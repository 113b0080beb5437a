"""Generated scenarios: what the product stores and serves is what the user's own run shows.

Four of a fixed seed, chosen because they have the most between them, and every case that once
failed; ``make fuzz`` tries two hundred others, the command in a process of its own.
"""

import io
import subprocess
from contextlib import redirect_stdout
from dataclasses import replace
from pathlib import Path

import pytest

from greenfork.main import app
from tests.fuzz.generator import draw_scenario
from tests.fuzz.networks import make_network
from tests.fuzz.scenario import ENVIRONMENT, Scenario
from tests.fuzz.trial import FAILURES, Trial, Verdict, differences, try_scenario, try_served
from tests.integration.shared_ray import shared_ray

_SEED = 20
_NUMBERS = (173, 319)
_CASES = sorted((Path(__file__).parents[2] / "fuzz" / "cases").glob("*.json"))
_NAMES = [*map(str, _NUMBERS), *(case.stem for case in _CASES)]
pytestmark = pytest.mark.usefixtures("one_fork_server")


def _in_this_process(arguments: list[str]) -> "subprocess.CompletedProcess[str]":
    said = io.StringIO()
    with redirect_stdout(said), pytest.raises(SystemExit) as ended:
        app(arguments)
    assert isinstance(ended.value.code, int)
    return subprocess.CompletedProcess(arguments, ended.value.code, said.getvalue(), "")


@pytest.fixture(scope="module")
def trials(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Trial]:
    """What came of every scenario, those that are exact scored over HTTP as well."""
    work = tmp_path_factory.mktemp("fuzz")

    def attempt(name: str) -> Trial:
        if name.isdigit():
            scenario, network = draw_scenario(_SEED, int(name), work / name / "network")
        else:
            case = next(each for each in _CASES if each.stem == name)
            scenario = Scenario.from_json(case.read_text(encoding="utf-8"))
            scenario = replace(scenario, name=name)
            network = make_network(scenario.network, work / name / "network")
        return try_scenario(scenario, network, work / name / "trial", _in_this_process)

    with pytest.MonkeyPatch.context() as environment:
        for name, value in (ENVIRONMENT | shared_ray()).items():
            environment.setenv(name, value)
        tried = [attempt(name) for name in _NAMES]
        served = try_served(tried, work / "service")
    return dict(zip(_NAMES, served, strict=True))


@pytest.mark.parametrize("name", _NAMES)
def test_the_product_shows_what_the_users_own_run_shows(
    name: str, trials: dict[str, Trial]
) -> None:
    """Stored, restored and replayed, and over HTTP; a refusal must be a documented one."""
    trial = trials[name]
    features = ", ".join(sorted(trial.scenario.features))
    assert trial.verdict not in FAILURES, f"{trial.detail}\n{features}"


def test_most_generated_scenarios_are_compared(trials: dict[str, Trial]) -> None:
    """Most have states, so that the comparison means something; both ways of restoring occur."""
    exact = [trial for trial in trials.values() if trial.verdict is Verdict.EXACT]
    assert len(exact) >= 0.7 * len(trials)
    assert sum(trial.compared for trial in exact) >= 5 * len(exact)
    ways = {row.restore for trial in exact if trial.built for row in trial.built.rows}
    assert ways == {"state", "replay"}


def test_a_wrong_metric_would_be_found(trials: dict[str, Trial]) -> None:
    """A stored queue that is off by its last bits is a difference."""
    trial = next(each for each in trials.values() if each.verdict is Verdict.EXACT)
    assert trial.built is not None
    horizon_s = trial.scenario.settings.horizon_s
    first, *others = trial.built.rows
    (decision, metrics), *more = first.outcomes
    wrong = metrics | {"queue_veh": metrics["queue_veh"] + 1e-12}
    changed = replace(first, outcomes=((decision, wrong), *more))
    assert list(differences([first, *others], trial.answers, horizon_s)) == []
    found = list(differences([changed, *others], trial.answers, horizon_s))
    assert len(found) == 1
    assert "queue_veh" in found[0]
