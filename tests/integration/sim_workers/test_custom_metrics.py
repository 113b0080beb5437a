"""Users' own metrics in real simulations: what they observe, and what becomes of bad ones."""

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from shared.decisions import Extend
from shared.errors import ConfigError
from shared.rewards import Metrics
from shared.wire.error_info import ErrorInfo
from sim_workers.engine.custom.installed import InstalledMetric, installed_metrics
from sim_workers.engine.custom.trial import refuse_unloadable
from sim_workers.pool.rollout import files_of, make_rollout
from sim_workers.pool.worker import StateWorker
from sim_workers.sandbox.confinement import probe
from sim_workers.states.store import StateStore, StoredState
from sim_workers.verification.verifier import VerifyOptions, verify_dataset
from tests.integration.sim_workers.rolling import make_worker

_EXAMPLE = Path(__file__).parents[3] / "examples" / "metric"
_OWN = '''
import json
from pathlib import Path

from gf_weights import WEIGHTS

Path(__file__).with_name("written").write_text("imported")


def queue(second):
    """As the built-in metric, of which it must be the same to the last bit."""
    return sum(map(second.sumo.lane.getLastStepHaltingNumber, second.incoming_lanes))


def weighted(second):
    return WEIGHTS["one"]


class Last:
    def sample(self, second):
        assert second.number <= second.horizon_s
        return second.time_s

    def total(self, samples):
        return samples[-1]


class Unbegun:
    def __init__(self):
        raise OSError("no file")

    def sample(self, second):
        return 0


def failing(second):
    if second.number == 5:
        raise KeyError("no vehicle")
    return 1


def nan(second):
    return float("nan") if second.number == 3 else 1.0


def infinite(second):
    return 10 ** 400 if second.number == 2 else 1


def text(second):
    return "many"


def nothing(second):
    return None


def changing(second):
    for one in second.sumo.vehicle.getIDList():
        second.sumo.vehicle.setSpeed(one, 0)
    return 1


def leaving(second):
    raise SystemExit(0)


def unknown(second):
    return second.sumo.vehicle.getSpeed("nobody")


def endless(second):
    while True:
        pass


def greedy(second):
    return len(bytearray(1 << 40))


def writing(second):
    Path(__file__).with_name("written").write_text("later")
    return 1
'''
_NAMES = (
    *("queue", "weighted", "Last", "Unbegun", "failing", "nan", "infinite", "text", "nothing"),
    *("changing", "leaving", "unknown", "endless", "greedy", "writing"),
)


def _install(root: Path, package: str, code: str, entries: dict[str, str]) -> None:
    (root / f"{package}.py").write_text(code)
    about = root / f"{package}-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    lines = [f"{name} = {value}" for name, value in entries.items()]
    (about / "entry_points.txt").write_text("\n".join(["[greenfork.metrics]", *lines]) + "\n")


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The example, installed as a package is, and one with metrics of every kind."""
    folder = tmp_path_factory.mktemp("metrics")
    source, root = folder / "source", folder / "target"
    shutil.copytree(_EXAMPLE, source)
    install = ["-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--no-build-isolation"]
    command = [sys.executable, *install, "--target", str(root), str(source)]
    subprocess.run(command, check=True, capture_output=True, timeout=300)
    (root / "gf_weights.py").write_text('WEIGHTS = {"one": 0.25}\n')
    _install(root, "gf_own", _OWN, {name.lower(): f"gf_own:{name}" for name in _NAMES})
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(root)
        yield root


@pytest.fixture(scope="module")
def metrics(packages: Path) -> dict[str, InstalledMetric]:
    """The installed ones, by name."""
    return {metric.name: metric for metric in installed_metrics()}


@pytest.fixture(scope="module")
def worker(packages: Path) -> Iterator[StateWorker]:
    """A worker on which no rollout takes longer than five seconds."""
    found = make_worker(rollout_timeout_s=5)
    yield found
    found.close()


@pytest.fixture(scope="module")
def state(dataset_of: Callable[[str], Path]) -> StoredState:
    """The first state of the crossing."""
    return next(iter(StateStore.open([dataset_of("crossing")])))


Roll = Callable[..., Metrics | ErrorInfo]


@pytest.fixture(scope="module")
def roll(worker: StateWorker, state: StoredState, metrics: dict[str, InstalledMetric]) -> Roll:
    """Rolls a *no* out for thirty seconds, with some of these metrics."""

    def roll_out(*names: str) -> Metrics | ErrorInfo:
        custom = [metrics[name].wanted for name in names]
        decided = {"c": Extend(extend=False)}
        rollout = make_rollout(state, decided, 30, custom=custom)
        sent = rollout.model_copy(update={"limit_s": 60})
        outcomes = worker.run([sent]) or worker.run([sent], files_of(state, sent))
        assert outcomes is not None
        (outcome,) = outcomes
        return outcome.error or outcome.unwrap()

    return roll_out


def _values(found: Metrics | ErrorInfo) -> dict[str, float]:
    assert isinstance(found, Metrics), found
    assert found.custom is not None
    return found.custom


def test_they_observe_the_rollout(roll: Roll, state: StoredState) -> None:
    """The mean over its seconds unless they say else; and nothing else becomes different."""
    plain, found = roll(), roll("queue", "weighted", "last")
    values = _values(found)
    assert isinstance(plain, Metrics)
    assert values == {
        "queue": plain.queue_veh,
        "weighted": 0.25,
        "last": state.record.time_s + 30,
    }
    assert found == plain.model_copy(update={"custom": values})


def test_the_example(roll: Roll) -> None:
    """It observes what it says, the same in every rollout, however its process came about."""
    rolled = [_values(roll("co2_mg", "stops")) for _ in range(6)]
    assert rolled[0]["co2_mg"] > 1000
    assert rolled[0]["stops"] == int(rolled[0]["stops"]) > 0
    assert all(one == rolled[0] for one in rolled)


@pytest.mark.parametrize(
    ("name", "code", "words"),
    [
        ("failing", "metric_failed", "failing of gf_own 1.0 raised KeyError in second 5"),
        ("unbegun", "metric_failed", "raised OSError at the begin: no file"),
        ("leaving", "metric_failed", "raised SystemExit in second 1"),
        ("unknown", "metric_failed", "raised TraCIException in second 1"),
        ("changing", "metric_failed", "a metric may only read: not call vehicle.setSpeed"),
        pytest.param(
            *("writing", "metric_failed", "raised PermissionError in second 1"),
            marks=pytest.mark.skipif(not probe().landlock, reason="the kernel has no Landlock"),
        ),
        ("nan", "not_finite", "is nan in second 3"),
        ("infinite", "not_finite", "is too large in second 2"),
        ("text", "metric_not_a_number", "is of the type str in second 1, not a number"),
        ("nothing", "metric_not_a_number", "is None in second 1, not a number"),
        ("endless", "rollout_timeout", "took longer than"),
        ("greedy", "out_of_memory", "exceeds its memory limit"),
    ],
)
def test_a_bad_one_is_an_error(roll: Roll, name: str, code: str, words: str) -> None:
    """Of the rollouts that ask for it alone, never a number."""
    found = roll(name)
    assert isinstance(found, ErrorInfo), found
    assert (found.code, words in found.message) == (code, True), found.message
    assert _values(roll("weighted")) == {"weighted": 0.25}


def test_modules_are_imported_before_the_process_confines_itself(
    roll: Roll, packages: Path
) -> None:
    """They may then read and write any file; later they may not."""
    assert _values(roll("weighted")) == {"weighted": 0.25}
    assert (packages / "written").read_text() == "imported"


def test_a_verification_says_what_it_cannot_check(
    packages: Path, dataset_of: Callable[[str], Path], tmp_path: Path
) -> None:
    """Plain SUMO knows nothing of users' own metrics."""
    dataset = tmp_path / "dataset"
    shutil.copytree(dataset_of("crossing"), dataset)
    report = verify_dataset(dataset, VerifyOptions(sample=1))
    assert report.is_exact
    assert {"custom.co2_mg", "custom.queue"} <= set(report.custom)


def test_what_cannot_be_loaded_is_found_before_anything_is_served(
    metrics: dict[str, InstalledMetric],
) -> None:
    """Those that are right pass; a function that is not there is named with its package."""
    refuse_unloadable(list(metrics.values()))
    missing = InstalledMetric("none", "gf_own:none", "gf_own 1.0", metrics["queue"].root, "0" * 64)
    with pytest.raises(ConfigError, match=r"none of gf_own 1\.0 cannot be loaded: .*'none'"):
        refuse_unloadable([metrics["queue"], missing])
