"""Controllers in whole episodes of real SUMO, and the command that compares them."""

import csv
import json
from pathlib import Path

import pytest

from greenfork.main import commands
from sim_workers.controllers.control_run import ControlRun
from sim_workers.controllers.look_ahead import LookAheadSettings
from sim_workers.controllers.making import CONTROLLER_NAMES, find_controller
from sim_workers.controllers.protocols import protocol_of
from sim_workers.controllers.runs import ControlPlan, run_episodes
from sim_workers.episodes.figures import trip_elements
from sim_workers.scenarios.scenario import load_scenario
from tests.integration.conftest import OWN

LENGTH_S = 300
pytestmark = pytest.mark.usefixtures("one_fork_server")


def _plan(*names: str, protocol: str = "resco", seeds: tuple[int, ...] = (1,)) -> ControlPlan:
    scenario = load_scenario(OWN["crossing"])
    settings = LookAheadSettings(horizon_s=30)
    controllers = tuple(find_controller(name, settings) for name in names)
    return ControlPlan(
        scenario, protocol_of(protocol, scenario.name), controllers, seeds, 2, LENGTH_S
    )


def _trips(run: ControlRun) -> tuple[bytes, ...]:
    assert run.finished is not None, run.error
    return trip_elements(run.finished.outputs.tripinfo)


@pytest.mark.parametrize("protocol", ["resco", "program"])
def test_every_controller_drives_an_episode(protocol: str) -> None:
    """None fails, none decides anything invalid, and no two drive alike."""
    runs = run_episodes(_plan(*CONTROLLER_NAMES, protocol=protocol))
    assert [run.controller for run in runs] == list(CONTROLLER_NAMES)
    assert [run.error for run in runs] == [None] * len(runs)
    assert all(run.invalid == 0 for run in runs)
    trips = {run.controller: _trips(run) for run in runs}
    assert len(set(trips.values())) >= len(trips) - 1  # two rules may agree in five minutes
    idle = {run.controller for run in runs if run.decisions == 0}
    assert idle == {"fixed", "actuated", "delay-based"}


def test_looking_ahead_costs_less_than_not_looking() -> None:
    """It improves its base policy, by the delay that it looks at."""
    base, ahead = run_episodes(_plan("greedy", "look-ahead"))
    assert base.finished is not None
    assert ahead.finished is not None
    assert (ahead.finished.figures.delay_s or 0) < (base.finished.figures.delay_s or 0)


def test_an_episode_does_not_depend_on_what_runs_beside_it() -> None:
    """Alone or among others, the same controller and seed make the same trips."""
    alone = {
        (run.controller, run.seed): _trips(run)
        for name in ("greedy", "random")
        for run in run_episodes(_plan(name, seeds=(2,)))
    }
    together = run_episodes(_plan("greedy", "random", seeds=(1, 2)))
    found = {(run.controller, run.seed): _trips(run) for run in together}
    assert found.items() >= alone.items()
    assert found["greedy", 1] != found["greedy", 2]


def test_the_command_compares_and_writes_trips(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Figures as JSON, a trip a row, and a record that drives the same episode again."""
    config = str(OWN["crossing"])
    common = ["control", config, "--end", str(LENGTH_S), "--json", "--workers", "1"]
    trips = ["--trips", str(tmp_path)]
    asked = [*common, "--controller", "fixed", "--controller", "greedy", "--seeds", "2", *trips]
    assert commands(asked, standalone_mode=False) == 0
    fixed, greedy = json.loads(capsys.readouterr().out)["controllers"]
    assert (fixed["name"], greedy["name"]) == ("fixed", "greedy")
    assert [one["seed"] for one in greedy["episodes"]] == [1, 2]
    delays = [one["figures"]["delay_s"] for one in greedy["episodes"]]
    assert greedy["delay_mean_s"] == pytest.approx(sum(delays) / 2)
    assert greedy["failed"] == 0
    rows = list(csv.DictReader((tmp_path / "greedy-seed2.trips.csv").read_text().splitlines()))
    assert len(rows) == greedy["episodes"][1]["figures"]["vehicles"]
    record = tmp_path / "greedy-seed2.record.jsonl"
    again = [*common, "--controller", f"replay:{record}", "--seeds", "2"]
    assert commands(again, standalone_mode=False) == 0
    (replayed,) = json.loads(capsys.readouterr().out)["controllers"]
    assert replayed["episodes"][1]["figures"] == greedy["episodes"][1]["figures"]


def test_the_command_refuses_what_it_does_not_know(capsys: pytest.CaptureFixture[str]) -> None:
    """Before anything runs, with the names that there are."""
    from greenfork.main import app

    with pytest.raises(SystemExit) as ended:
        app(["control", str(OWN["crossing"]), "--controller", "luck", "--json"])
    assert ended.value.code == 2
    assert json.loads(capsys.readouterr().out)["error"]["code"] == "unknown_controller"
