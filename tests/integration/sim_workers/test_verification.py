"""Datasets hold what plain SUMO shows, and the verification finds what does not."""

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from greenfork.main import app
from shared.dataset import DatasetLayout
from shared.errors import InputError
from sim_workers.datasets.build_plan import BuildOptions
from sim_workers.datasets.builder import build_dataset
from sim_workers.engine.policies import PolicySpec
from sim_workers.scenarios.resco import locate_scenario
from sim_workers.verification import verifier
from sim_workers.verification.verifier import Checked, VerifyOptions, verify_dataset
from tests.integration.conftest import OWN, read_rows
from tests.integration.sim_workers.variants import VARIANTS

SMALL = BuildOptions(seeds=(7,), states=2, warmup_s=120, every_s=60, end_s=500, with_outcomes=True)
CITIES = {
    "cologne3": replace(SMALL, states=2, warmup_s=300, end_s=25200 + 900),
    "arterial4x4": replace(
        SMALL, states=1, warmup_s=600, end_s=800, tls_ids=("nt1", "nt6", "nt11", "nt16")
    ),
}
"""Cologne1 is verified below, under a policy; it and ingolstadt1 also in ``test_exactness``."""
RANDOM = replace(SMALL, policy=PolicySpec(name="random"))
EARLY = replace(SMALL, states=1, warmup_s=60, end_s=220)
"""Each decision is played from the run's begin: the earlier, the sooner."""
pytestmark = pytest.mark.usefixtures("one_fork_server", "one_player")


@pytest.fixture(scope="module")
def one_player() -> Iterator[None]:
    """Has the same process play all episodes wherever one is asked for; each imports for long."""
    pool = verifier._episode_pool
    with pool(1) as player, pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            verifier, "_episode_pool", lambda n: nullcontext(player) if n == 1 else pool(n)
        )
        yield


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, BuildOptions], Path]:
    """Builds a dataset once; whoever changes it takes a copy."""

    @cache
    def build(scenario: str, options: BuildOptions) -> Path:
        out = tmp_path_factory.mktemp("datasets") / scenario
        build_dataset(OWN.get(scenario) or locate_scenario(f"resco:{scenario}"), out, options)
        return out

    return build


@pytest.fixture
def copied(built: Callable[[str, BuildOptions], Path], tmp_path: Path) -> Callable[..., Path]:
    """A dataset of one's own."""

    def copy(scenario: str = "crossing", options: BuildOptions = SMALL) -> Path:
        target = tmp_path / "copy"
        shutil.copytree(built(scenario, options), target)
        return target

    return copy


@pytest.mark.parametrize("city", CITIES)
def test_cities_are_exact(city: str, built: Callable[[str, BuildOptions], Path]) -> None:
    """Stored outcomes, and what serving would give, are plain SUMO's own in every state."""
    folder = built(city, CITIES[city])
    report = verify_dataset(folder, VerifyOptions(workers=1, with_engine=True))
    assert report.differences == ()
    assert report.unchecked == ()
    assert report.rows == len(read_rows(folder)) >= (CITIES[city].states or 0)
    assert report.exact == report.decisions == 2 * report.rows
    if city == "arterial4x4":
        assert report.restores == {"replay": report.rows}


@pytest.mark.parametrize("kind", ["phase", "cycle", "plan"])
def test_every_kind_is_exact(kind: Any, built: Callable[[str, BuildOptions], Path]) -> None:  # noqa: ANN401
    """Whatever the rows ask for."""
    folder = built("crossing", replace(EARLY, kind=kind))
    report = verify_dataset(folder, VerifyOptions(workers=1, with_engine=True))
    assert report.is_exact
    assert report.decisions == sum(len(row["outcomes"]) for row in read_rows(folder)) > 4


def test_green_that_a_program_would_keep_is_ended(tmp_path: Path) -> None:
    """Where the program follows the traffic, a chosen phase comes when it was chosen for."""
    (tmp_path / "source").mkdir()
    config, out = VARIANTS["delay_based"](tmp_path / "source"), tmp_path / "out"
    options = replace(SMALL, seeds=(3,), states=1, warmup_s=150, end_s=None, kind="phase")
    build_dataset(config, out, options)
    report = verify_dataset(out, VerifyOptions(workers=1, with_engine=True))
    assert report.is_exact
    assert report.decisions > 4


@pytest.mark.parametrize(("scenario", "end_s"), [("crossing", 500), ("cologne1", 25200 + 500)])
def test_runs_of_a_policy_are_exact(
    scenario: str, end_s: float, built: Callable[[str, BuildOptions], Path]
) -> None:
    """What the policy did is repeated call by call."""
    folder = built(scenario, replace(RANDOM, end_s=end_s))
    assert verify_dataset(folder, VerifyOptions(workers=1, with_engine=True)).is_exact
    assert DatasetLayout(folder).actions("seed7-random").stat().st_size > 0


def test_without_outcomes_the_engine_is_checked(
    built: Callable[[str, BuildOptions], Path],
) -> None:
    """There is nothing stored, so what serving would give is compared, and progress is told."""
    folder = built("crossing", replace(SMALL, with_outcomes=False))
    seen: list[Checked] = []
    report = verify_dataset(folder, VerifyOptions(workers=1), seen.append)
    assert report.is_exact
    assert seen == [Checked(done, 4, 0) for done in range(5)]


def test_sample_takes_that_many_rows(built: Callable[[str, BuildOptions], Path]) -> None:
    """And no more."""
    report = verify_dataset(built("crossing", SMALL), VerifyOptions(workers=1, sample=1))
    assert (report.rows, report.decisions) == (1, 2)


def _verified(
    folder: Path, capsys: pytest.CaptureFixture[str], *options: str
) -> tuple[int, dict[str, Any]]:
    """Exit status and report of the command."""
    with pytest.raises(SystemExit) as ended:
        app(["dataset", "verify", str(folder), "--workers", "1", *options, "--json"])
    assert isinstance(ended.value.code, int)
    report: dict[str, Any] = json.loads(capsys.readouterr().out)
    return ended.value.code, report


def _change(path: Path, changed: Callable[[dict[str, Any]], object]) -> None:
    """Changes every line of a file."""
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    for line in lines:
        changed(line)
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))


def test_command_says_that_all_is_exact(
    built: Callable[[str, BuildOptions], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit status 0, and a report of what was checked."""
    status, report = _verified(built("crossing", SMALL), capsys)
    assert status == 0
    assert (report["rows"], report["decisions"], report["exact"]) == (2, 4, 4)
    assert report["restores"] == {"state": 2}


def test_one_vehicle_more_is_found(
    copied: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """A stored metric that is off by one is named with its place and both values."""
    folder = copied()
    (row, *_) = read_rows(folder)

    def tamper(line: dict[str, Any]) -> None:
        if line["state_id"] == row["state_id"]:
            line["outcomes"][1]["metrics"]["throughput_veh"] += 1

    _change(folder / "train.jsonl", tamper)
    status, report = _verified(folder, capsys)
    assert status == 1
    assert (report["exact"], report["different"]) == (3, 1)
    true = row["outcomes"][1]["metrics"]["throughput_veh"]
    (difference,) = report["differences"]
    assert difference == {
        "state_id": row["state_id"],
        "tls_id": "c",
        "decision": '{"extend":false,"kind":"extend"}',
        "source": "outcome",
        "metric": "throughput_veh",
        "stored": true + 1,
        "true": true,
        "size": 1,
    }
    assert report["largest"] == {"throughput_veh": difference}


def test_last_bit_is_found(copied: Callable[..., Path]) -> None:
    """Exact means every digit."""
    folder = copied()
    (row, *_) = read_rows(folder)
    wait_s = row["outcomes"][0]["metrics"]["wait_s"]
    text = (folder / "train.jsonl").read_text()
    (folder / "train.jsonl").write_text(text.replace(repr(wait_s), repr(wait_s * (1 + 2**-52)), 1))
    (difference,) = verify_dataset(folder, VerifyOptions(workers=1)).differences
    assert difference.metric == "wait_s"
    assert difference.true == wait_s


def test_wrong_elapsed_green_is_found(
    copied: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """In the row and in the state's record."""
    folder = copied()
    for path in (folder / "train.jsonl", folder / "eval.jsonl"):
        _change(path, lambda row: row.update(elapsed_green_s=row["elapsed_green_s"] + 1))
    _change(
        folder / "states/index.jsonl", lambda record: record["signals"]["c"].update(elapsed_s=7.5)
    )
    status, report = _verified(folder, capsys)
    assert status == 1
    assert report["different"] == 4
    assert {one["metric"] for one in report["differences"]} == {"elapsed_green_s", "elapsed_s"}
    assert {one["source"] for one in report["differences"]} == {"record"}
    assert len(report["differences"]) == 4


def test_missing_action_is_found(
    copied: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """Without one call of its policy the run is another."""
    folder = copied(options=RANDOM)
    path = DatasetLayout(folder).actions("seed7-random")
    path.write_text("".join(path.read_text().splitlines(keepends=True)[1:]))
    status, report = _verified(folder, capsys)
    assert status == 1
    assert report["different"] > 0
    assert report["differences"][0]["state_id"] == read_rows(folder)[0]["state_id"]


def _unverify(folder: Path) -> None:
    for path in (folder / "train.jsonl", folder / "eval.jsonl"):
        _change(path, lambda row: row.update(restore="unverified"))
    _change(
        folder / "states/index.jsonl",
        lambda record: record.update(restore="unverified", verified_s=0),
    )


def _restores(folder: Path) -> list[tuple[str, str, int]]:
    """Of every state: its id, how it is brought back, and over how long that is known."""
    index = (folder / "states/index.jsonl").read_text().splitlines()
    records = [json.loads(line) for line in index]
    return [(each["state_id"], each["restore"], each["verified_s"]) for each in records]


def test_unverified_states_are_promoted(
    copied: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """What turns out to be exact from its file is marked so, in the index and in the rows."""
    folder = copied()
    before = _restores(folder)
    _unverify(folder)
    status, report = _verified(folder, capsys)
    assert status == 0
    assert report["promoted"] == {state_id: "state" for state_id, _, _ in before}
    assert _restores(folder) == [(state_id, "state", 60) for state_id, _, _ in before]
    assert {row["restore"] for row in read_rows(folder)} == {"state"}
    assert _verified(folder, capsys, "--engine")[1]["promoted"] == {}


def test_state_of_another_run_is_replayed(
    copied: Callable[..., Path], built: Callable[[str, BuildOptions], Path]
) -> None:
    """Where the file is not the state's, its run is, and serving replays that."""
    folder = copied(options=replace(SMALL, states=1))
    other = built("crossing", replace(SMALL, states=1, seeds=(8,)))
    (strange,) = (other / "states").glob("*.xml")
    (state,) = (folder / "states").glob("*.xml")
    state_id = f"{state.stem[:-12]}{hashlib.sha256(strange.read_bytes()).hexdigest()[:12]}"
    state.unlink()
    shutil.copy(strange, folder / "states" / f"{state_id}.xml")
    for path in (folder / "train.jsonl", folder / "eval.jsonl", folder / "states/index.jsonl"):
        path.write_text(path.read_text().replace(state.stem, state_id))
    _unverify(folder)
    report = verify_dataset(folder, VerifyOptions(workers=1))
    assert report.is_exact
    assert report.promoted == {state_id: "replay"}
    assert [restore for _, restore, _ in _restores(folder)] == ["replay"]


def test_state_without_its_run_stays_unverified(
    copied: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing can be said of it, and why is."""
    folder = copied()
    _unverify(folder)
    _change(folder / "states/index.jsonl", lambda record: record.update(run="elsewhere"))
    before = _restores(folder)
    status, report = _verified(folder, capsys)
    assert status == 1
    assert (report["decisions"], report["promoted"]) == (0, {})
    assert set(report["unverified"]) == {state_id for state_id, _, _ in before}
    assert "does not list the run 'elsewhere'" in report["unchecked"][0]["reason"]
    assert _restores(folder) == before


def test_state_that_differs_stays_unverified(copied: Callable[..., Path]) -> None:
    """A stored outcome that is wrong is reason enough, and a sample says nothing of the rest."""
    folder = copied("grid2x2", replace(SMALL, states=1))
    _unverify(folder)
    sampled = verify_dataset(folder, VerifyOptions(workers=1, sample=1))
    assert sampled.promoted == {}
    assert list(sampled.unverified.values()) == ["not all of its rows were chosen"]
    path = folder / ("train.jsonl" if (folder / "train.jsonl").read_text() else "eval.jsonl")
    _change(path, lambda row: row["outcomes"][0]["metrics"].update(queue_veh=1000))
    report = verify_dataset(folder, VerifyOptions(workers=1))
    assert report.promoted == {}
    assert len(report.unverified) == 1
    assert {one.metric for one in report.differences} == {"queue_veh"}


def test_dataset_of_another_version_is_refused(
    copied: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """Another SUMO moves vehicles otherwise."""
    folder = copied()
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["simulator"]["version"] = "1.27.0"
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(InputError) as raised:
        verify_dataset(folder, VerifyOptions(workers=1))
    assert raised.value.code == "sumo_of_other_version"
    assert "1.27.0" in raised.value.message
    assert _verified(folder, capsys)[0] == 2


def test_command_lists_what_differs(
    copied: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """For people: a table with the state, the metric and both values. Played side by side."""
    folder = copied(options=replace(SMALL, states=1))
    path = folder / ("train.jsonl" if (folder / "train.jsonl").read_text() else "eval.jsonl")
    _change(path, lambda row: row["outcomes"][0]["metrics"].update(queue_veh_max=1234))
    with pytest.raises(SystemExit) as ended:
        app(["dataset", "verify", str(folder)])
    assert ended.value.code == 1
    printed = capsys.readouterr().out
    assert "What differs" in printed
    assert "1234" in printed
