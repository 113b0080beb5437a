"""What is run is the user's own simulation, and what is not is found."""

import json
import shutil
from collections.abc import Callable
from concurrent.futures import CancelledError
from pathlib import Path

import pytest

from shared.dataset import DatasetLayout
from shared.decisions import Extend
from shared.errors import FidelityError, UnknownSignal
from shared.wire.error_info import ErrorInfo
from sim_workers.datasets.build_plan import BuildOptions, Execution
from sim_workers.datasets.builder import build_dataset
from sim_workers.engine.fork_client import ForkServer
from sim_workers.scenarios import scenario as scenarios
from sim_workers.scenarios.options import is_kept, is_left_out
from sim_workers.scenarios.resco import locate_scenario
from sim_workers.scenarios.scenario import Scenario, load_scenario
from sim_workers.states.store import read_manifest, read_states
from sim_workers.verification.fidelity import Comparison, Sides, compare
from sim_workers.verification.verifier import VerifyOptions, verify_dataset
from tests.integration.conftest import OWN, read_rows
from tests.integration.sim_workers.odd_variants import ODD_VARIANTS
from tests.integration.sim_workers.rolling import make_worker, rollout_in, run_rollout

OLD = Path(__file__).parent / "data" / "crossing-of-0.1"
pytestmark = pytest.mark.usefixtures("one_fork_server")
TINY = BuildOptions(seeds=(7,), states=2, warmup_s=120, every_s=60, end_s=500, with_outcomes=True)


def _sides(scenario: Scenario) -> Sides:
    assert scenario.original is not None
    return Sides(scenario.original, scenario.files, seed=7)


def test_flows_are_the_users_own_and_continue_from_their_files(
    dataset_of: Callable[[str], Path],
) -> None:
    """Our own crossing, which was another simulation once."""
    dataset = dataset_of("crossing")
    (run,) = read_manifest(dataset).simulations
    assert (run.fidelity, run.deviation) == ("own", None)
    assert run.compared_to_s == 3600
    assert {row["fidelity"] for row in read_rows(dataset)} == {"own"}
    assert {state.record.restore for state in read_states(dataset)} == {"state"}


def test_the_first_difference_is_named(fork_server: ForkServer) -> None:
    """A vehicle that departs a second later on one side."""
    scenario = load_scenario(OWN["crossing"])
    demand = scenario.files["demand0.rou.xml"].replace(b'begin="600"', b'begin="601"')
    sides = Sides(_sides(scenario).original, scenario.files | {"demand0.rou.xml": demand}, seed=7)
    found = compare(sides, 700, fork_server).difference
    assert found is not None
    assert 600 < found.time_s <= 610
    assert found.thing.startswith("vehicle")
    assert f"at {found.time_s:g} s {found.thing} is" in str(found)


def test_a_comparison_ends_with_the_build_that_it_belongs_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever misspells a signal need not wait until a day of traffic was compared."""
    ended = []

    def comparing(
        sides: Sides, to_s: float, server: ForkServer, should_stop: Callable[[], bool]
    ) -> Comparison:
        try:
            for _ in range(50):  # one after the other, as long as a large one
                compare(sides, to_s, server, should_stop)
        except CancelledError:
            ended.append(to_s)
            raise
        pytest.fail("it was never stopped")

    monkeypatch.setattr("sim_workers.datasets.builder.compare", comparing)
    options = BuildOptions(tls_ids=("north",), warmup_s=60, states=1, end_s=200)
    with pytest.raises(UnknownSignal):
        build_dataset(OWN["crossing"], tmp_path / "out", options)
    assert ended == [200]


def test_an_option_that_draws_is_missed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A build that leaves it out is refused, or says so in every row where it is allowed."""
    drawing = "device.fcd.probability"
    monkeypatch.setattr(scenarios, "is_kept", lambda name: is_kept(name) and name != drawing)
    monkeypatch.setattr(scenarios, "is_left_out", lambda name: is_left_out(name) or name == drawing)
    (tmp_path / "town").mkdir()
    config = ODD_VARIANTS["a_share_that_writes"](tmp_path / "town")
    options = BuildOptions(seeds=(7,), states=2, warmup_s=60)
    with pytest.raises(FidelityError, match="--allow-deviation"):
        build_dataset(config, tmp_path / "out", options)
    build_dataset(config, tmp_path / "out", options, execution=Execution(allow_deviation=True))
    (run,) = read_manifest(tmp_path / "out").simulations
    assert run.fidelity == "bundle"
    assert run.deviation is not None
    assert "user's own simulation" in run.deviation
    assert {row["fidelity"] for row in read_rows(tmp_path / "out")} == {"bundle"}


def test_nothing_is_written_beside_the_users_files(tmp_path: Path) -> None:
    """Outputs that the configuration asks for lead nowhere, and SUMO runs in a copy."""
    (tmp_path / "town").mkdir()
    config = ODD_VARIANTS["a_share_that_writes"](tmp_path / "town")
    before = sorted((tmp_path / "town").rglob("*"))
    options = BuildOptions(seeds=(7,), states=1, warmup_s=60, with_outcomes=True)
    build_dataset(config, tmp_path / "out", options)
    report = verify_dataset(tmp_path / "out", VerifyOptions(workers=1))
    assert report.is_exact
    assert report.against == "own"
    assert sorted((tmp_path / "town").rglob("*")) == before


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A dataset of version 0.1, of another simulation than the crossing's own."""
    return Path(shutil.copytree(OLD, tmp_path / "old"))


def test_a_dataset_of_another_simulation_fails(old: Path) -> None:
    """Against its own files everything is exact; against the user's nothing is."""
    against_itself = verify_dataset(old, VerifyOptions(workers=1))
    assert (against_itself.against, against_itself.different) == ("bundle", 0)
    report = verify_dataset(old, VerifyOptions(workers=1, config=OWN["crossing"]))
    assert not report.is_exact
    assert report.different == report.decisions > 0
    assert "vehicle" in report.compared["seed1"]
    assert read_manifest(old).simulation.fidelity == "bundle"


def test_a_dataset_of_version_0_1_still_works(old: Path) -> None:
    """Its states continue as they did, from its own second configuration."""
    row = read_rows(old)[0]
    (outcome, *_) = row["outcomes"]
    worker = make_worker()
    try:
        decision = Extend.model_validate(outcome["decision"])
        found = run_rollout(worker, old, rollout_in(old, row["state_id"], "c", decision))
    finally:
        worker.close()
    assert not isinstance(found, ErrorInfo)
    assert found.queue_veh == outcome["metrics"]["queue_veh"]


def test_one_that_is_the_users_own_is_marked(tmp_path: Path) -> None:
    """As the verification of an older dataset does, where it finds no difference."""
    build_dataset(OWN["grid2x2"], tmp_path / "out", TINY)
    layout = DatasetLayout(tmp_path / "out")
    manifest = json.loads(layout.manifest.read_text())
    manifest["scenario"]["original"] = []
    for run in (manifest["simulation"], *manifest["simulations"]):
        run["fidelity"] = "bundle"
    layout.manifest.write_text(json.dumps(manifest))
    text = layout.rows("train").read_text()
    layout.rows("train").write_text(text.replace('"fidelity":"own"', '"fidelity":"bundle"'))
    options = VerifyOptions(workers=1, config=OWN["grid2x2"])
    assert verify_dataset(tmp_path / "out", options).is_exact
    assert read_manifest(tmp_path / "out").simulation.fidelity == "own"
    assert {row["fidelity"] for row in read_rows(tmp_path / "out")} == {"own"}


def test_dependence_on_addresses_is_noted_and_workers_look_for_it(
    tmp_path: Path, dataset_of: Callable[[str], Path]
) -> None:
    """cologne1: a worker that computes something else at that moment scores nothing of it."""
    out = Path(shutil.copytree(dataset_of("resco:cologne1"), tmp_path / "out"))
    layout, manifest = DatasetLayout(out), read_manifest(dataset_of("resco:cologne1"))
    (run,) = manifest.simulations
    assert run.fidelity == "own"
    assert run.sensitivity is not None
    row = read_rows(out)[0]
    rollout = rollout_in(out, row["state_id"], row["tls_id"], None, 10)
    other = run.sensitivity.model_copy(update={"digest": "0" * 16})
    changed = run.model_copy(update={"sensitivity": other})
    layout.manifest.write_text(
        manifest.model_copy(update={"simulations": (changed,)}).model_dump_json()
    )
    worker = make_worker()
    try:
        assert not isinstance(run_rollout(worker, dataset_of("resco:cologne1"), rollout), ErrorInfo)
    finally:
        worker.close()
    worker = make_worker()
    try:
        refused = run_rollout(worker, out, rollout)
    finally:
        worker.close()
    assert isinstance(refused, ErrorInfo)
    assert (refused.code, refused.retryable) == ("environment_differs", False)


def test_scattered_memory_is_the_only_difference(fork_server: ForkServer) -> None:
    """grid2x2 does not depend on addresses, and neither is it said to."""
    comparison = compare(_sides(load_scenario(OWN["grid2x2"])), 300, fork_server)
    assert (comparison.difference, comparison.sensitivity) == (None, None)


def test_a_city_is_the_users_own(fork_server: ForkServer) -> None:
    """A network of RESCO, as it comes."""
    sides = _sides(load_scenario(locate_scenario("resco:ingolstadt1")))
    comparison = compare(sides, 58_200, fork_server)
    assert comparison.difference is None
