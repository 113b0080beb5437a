"""``greenfork dataset`` and ``greenfork scenarios``: what they say and how they end."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from greenfork.main import app
from tests.integration.conftest import OWN, read_rows
from tests.integration.sim_workers.lone_green import LONE_GREEN, write_lone_green
from tests.integration.sim_workers.uninterrupted import sumo_binary

CROSSING = str(OWN["crossing"])
pytestmark = pytest.mark.usefixtures("one_fork_server")
TINY = ("--seed", "7", "--states", "1", "--warmup", "60", "--end", "200")


class _Command:
    """The command line in this process."""

    def __init__(self, printed: pytest.CaptureFixture[str]) -> None:
        self._printed = printed

    def __call__(self, *arguments: str) -> tuple[int, str, str]:
        """Exit status, stdout and stderr."""
        with pytest.raises(SystemExit) as ended:
            app(arguments)
        assert isinstance(ended.value.code, int)
        return (ended.value.code, *self._printed.readouterr())

    def error(self, *arguments: str) -> dict[str, Any]:
        """The error that ``--json`` prints, the same being said to people on stderr."""
        status, _, said = self(*arguments)
        assert status == 2
        machine_status, printed, _ = self(*arguments, "--json")
        assert machine_status == 2
        error: dict[str, Any] = json.loads(printed)["error"]
        assert f"greenfork: {error['message']} [{error['code']}]" in said
        assert "Traceback" not in said
        return error


@pytest.fixture
def greenfork(capsys: pytest.CaptureFixture[str]) -> _Command:
    """The command."""
    return _Command(capsys)


@pytest.fixture
def plain(tmp_path: Path) -> str:
    """A configuration whose network has no signal."""
    network = tmp_path / "plain.net.xml"
    netgenerate = Path(sumo_binary()).with_name("netgenerate")
    subprocess.run(
        [netgenerate, "--grid", "--grid.number=2", "-o", network], check=True, capture_output=True
    )
    config = tmp_path / "plain.sumocfg"
    config.write_text('<configuration><net-file value="plain.net.xml"/></configuration>')
    return str(config)


def test_build_makes_a_dataset_and_says_what_is_next(greenfork: _Command, tmp_path: Path) -> None:
    """The table names the states, and how to repeat the run with plain SUMO."""
    out = tmp_path / "out"
    status, printed, _ = greenfork("dataset", "build", CROSSING, "--out", str(out), *TINY)
    assert status == 0
    assert "from their file" in printed
    assert "--seed 7" in printed
    assert "greenfork serve --dataset" in printed
    (row,) = read_rows(out)
    assert "outcomes" not in row


def test_build_prints_the_manifest_for_machines(greenfork: _Command, tmp_path: Path) -> None:
    """With ``--json`` stdout is one JSON object, whatever the progress bar shows."""
    out = tmp_path / "out"
    arguments = ("dataset", "build", CROSSING, "--out", str(out), *TINY, "--outcomes", "--json")
    status, printed, _ = greenfork(*arguments)
    assert status == 0
    body = json.loads(printed)
    assert body["dataset"] == str(out)
    assert body["manifest"] == json.loads((out / "manifest.json").read_text())
    (row,) = read_rows(out)
    assert len(row["outcomes"]) == 2


def test_build_takes_runs_policy_and_kind(greenfork: _Command, tmp_path: Path) -> None:
    """Two seeds with two demands under a policy, asked for whole cycles; all of it is in the table.

    ``--help`` shows how.
    """
    arguments = (
        *("--out", str(tmp_path / "out"), "--end", "400", "--workers", "2"),
        *("--seed", "7", "--seed", "8", "--scale", "1", "--scale", "0.8", "--states", "4"),
        *("--policy", "max_pressure", "--epsilon", "0.2", "--kind", "cycle"),
    )
    status, printed, _ = greenfork("dataset", "build", CROSSING, *arguments, "--json")
    assert status == 0
    runs = [run["run"] for run in json.loads(printed)["manifest"]["simulations"]]
    policy = "max_pressure-random0.2"
    expected = [f"seed{seed}{scale}-{policy}" for seed in (7, 8) for scale in ("", "-scale0.8")]
    assert runs == expected
    assert {row["decision_kind"] for row in read_rows(tmp_path / "out")} == {"cycle"}
    _, printed, _ = greenfork("dataset", "build", "--help")
    assert "--policy max_pressure --epsilon 0.2" in " ".join(printed.split())


def test_signals_left_out_are_said(greenfork: _Command, tmp_path: Path) -> None:
    """With the reason."""
    config = write_lone_green(tmp_path)
    arguments = ("dataset", "build", str(config), "--out", str(tmp_path / "out"), *TINY)
    status, printed, _ = greenfork(*arguments)
    assert status == 0
    assert f"{LONE_GREEN}: one green phase only" in printed
    other = ("--out", str(tmp_path / "other"), "--tls", LONE_GREEN, *TINY)
    error = greenfork.error("dataset", "build", str(config), *other)
    assert error["code"] == "nothing_to_decide"


def test_options_left_out_are_said(greenfork: _Command, tmp_path: Path) -> None:
    """A configuration that asks for outputs is built without them, and the user is told."""
    for name in ("crossing.net.xml", "crossing.rou.xml"):
        shutil.copy(OWN["crossing"].parent / name, tmp_path / name)
    config = tmp_path / "loud.sumocfg"
    config.write_text(
        '<configuration><net-file value="crossing.net.xml"/><route-files value="crossing.rou.xml"/>'
        '<summary-output value="summary.xml"/></configuration>'
    )
    out = str(tmp_path / "out")
    status, printed, _ = greenfork("dataset", "build", str(config), "--out", out, *TINY)
    assert status == 0
    assert "summary-output" in printed
    assert not (tmp_path / "summary.xml").exists()


def test_configuration_that_does_not_exist(greenfork: _Command, tmp_path: Path) -> None:
    """It is named."""
    config = str(tmp_path / "nowhere.sumocfg")
    error = greenfork.error("dataset", "build", config, "--out", str(tmp_path / "out"))
    assert error["code"] == "scenario_not_found"
    assert config in error["message"]
    assert not (tmp_path / "out").exists()


def test_configuration_that_names_a_missing_file(greenfork: _Command, tmp_path: Path) -> None:
    """The missing file is named, not the configuration alone."""
    config = tmp_path / "half.sumocfg"
    config.write_text('<configuration><net-file value="absent.net.xml"/></configuration>')
    error = greenfork.error("dataset", "build", str(config), "--out", str(tmp_path / "out"))
    assert error["code"] == "missing_file"
    assert "absent.net.xml" in error["message"]


def test_configuration_without_signal(greenfork: _Command, plain: str, tmp_path: Path) -> None:
    """There is nothing to decide."""
    error = greenfork.error("dataset", "build", plain, "--out", str(tmp_path / "out"))
    assert error["code"] == "no_signal"
    assert not (tmp_path / "out").exists()


def test_unknown_signal(greenfork: _Command, tmp_path: Path) -> None:
    """Those that there are, are named."""
    out = str(tmp_path / "out")
    error = greenfork.error("dataset", "build", CROSSING, "--out", out, "--tls", "north", *TINY)
    assert error["code"] == "unknown_signal"
    assert "it has c" in error["message"]


def test_existing_dataset_is_kept(greenfork: _Command, tmp_path: Path) -> None:
    """Nothing is overwritten."""
    (tmp_path / "manifest.json").write_text("precious")
    error = greenfork.error("dataset", "build", CROSSING, "--out", str(tmp_path))
    assert error["code"] == "dataset_exists"
    assert (tmp_path / "manifest.json").read_text() == "precious"


def test_folder_that_cannot_be_written(greenfork: _Command, tmp_path: Path) -> None:
    """A file in the path is an error with a message, not a traceback."""
    (tmp_path / "file").write_text("")
    error = greenfork.error("dataset", "build", CROSSING, "--out", str(tmp_path / "file" / "out"))
    assert error["code"] == "not_writable"


def test_time_that_leaves_no_decision_point(greenfork: _Command, tmp_path: Path) -> None:
    """The message says what to change."""
    out = str(tmp_path / "out")
    error = greenfork.error("dataset", "build", CROSSING, "--out", out, "--end", "100")
    assert error["code"] == "no_decision_points"
    assert "raise the end" in error["message"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--scale", "0"), "--scale must be above 0"),
        (("--actions", "a.jsonl", "--policy", "random"), "one of --actions and --policy"),
        (("--actions", "nowhere.jsonl"), "nowhere.jsonl"),
    ],
)
def test_runs_that_cannot_be(
    options: tuple[str, ...], said: str, greenfork: _Command, tmp_path: Path
) -> None:
    """The option at fault is named."""
    error = greenfork.error("dataset", "build", CROSSING, "--out", str(tmp_path / "o"), *options)
    assert error["code"] in ("bad_config", "bad_actions")
    assert said in error["message"]


def test_greens_that_exclude_each_other(greenfork: _Command, tmp_path: Path) -> None:
    """The shortest green must be below the longest."""
    limits = ("--min-green", "60", "--max-green", "20")
    error = greenfork.error("dataset", "build", CROSSING, "--out", str(tmp_path / "o"), *limits)
    assert error["code"] == "bad_config"
    assert "--min-green" in error["message"]


@pytest.mark.parametrize(
    "arguments",
    [
        ("dataset", "build"),
        ("dataset", "build", CROSSING),
        ("dataset", "build", CROSSING, "--out", "x", "--states", "0"),
        ("dataset", "build", CROSSING, "--out", "x", "--every", "soon"),
        ("dataset", "build", CROSSING, "--out", "x", "--eval-share", "1"),
        ("dataset", "build", CROSSING, "--out", "x", "--unknown"),
        ("scenarios", "show"),
    ],
)
def test_wrong_usage_ends_with_2(arguments: tuple[str, ...], greenfork: _Command) -> None:
    """Arguments that are missing, unknown or out of range."""
    status, _, said = greenfork(*arguments)
    assert status == 2
    assert "Usage" in said


def test_unknown_network_of_sumo_rl(greenfork: _Command, tmp_path: Path) -> None:
    """The message lists those there are."""
    error = greenfork.error("dataset", "build", "resco:atlantis", "--out", str(tmp_path / "out"))
    assert error["code"] == "scenario_not_found"
    assert "cologne1" in error["message"]


def test_missing_package_of_networks(
    greenfork: _Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Whoever lacks sumo-rl is told the command that installs it, and the list says so, too."""
    monkeypatch.setattr("sim_workers.scenarios.resco.find_spec", lambda name: None)
    for command in (
        ("dataset", "build", "resco:cologne1", "--out", str(tmp_path / "out")),
        ("scenarios", "show", "resco:cologne1"),
    ):
        error = greenfork.error(*command)
        assert error["code"] == "package_missing"
        assert "pip install --no-deps sumo-rl" in error["message"]
    status, _, said = greenfork("scenarios", "list")
    assert status == 2
    assert "pip install --no-deps sumo-rl" in said
    assert greenfork("scenarios", "list", "--json")[:2] == (0, "{}\n")


def test_scenarios_are_listed(greenfork: _Command) -> None:
    """By the names under which they are built."""
    status, printed, _ = greenfork("scenarios", "list")
    assert status == 0
    assert "resco:cologne1" in printed.splitlines()
    assert set(json.loads(greenfork("scenarios", "list", "--json")[1])) == set(printed.split())


def test_scenario_is_shown(greenfork: _Command) -> None:
    """Its signal, its phases, and which of them are green."""
    status, printed, _ = greenfork("scenarios", "show", CROSSING)
    assert status == 0
    assert "c, program 0 (static)" in printed
    assert "GGrrrrGGrrrr" in printed
    body = json.loads(greenfork("scenarios", "show", CROSSING, "--json")[1])
    assert body["scenario_id"].startswith("crossing-")
    assert (body["begin_s"], body["end_s"]) == (0, 3600)
    assert len(body["signals"]["c"]["programs"]["0"]["phases"]) == 8


def test_scenario_that_is_none(greenfork: _Command) -> None:
    """A network is not a configuration."""
    network = str(OWN["crossing"].with_suffix(".net.xml"))
    assert greenfork.error("scenarios", "show", network)["code"] == "bad_xml"
