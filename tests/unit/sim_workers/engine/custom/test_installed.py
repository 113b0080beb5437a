"""Which metrics packages add, the digest of their code, and loading them."""

import json
import sys
from collections.abc import Callable
from importlib.metadata import distributions
from pathlib import Path
from types import SimpleNamespace

import pytest

from shared.domains.custom_metrics import CustomMetric
from shared.errors import ConfigError, RolloutError
from sim_workers.engine.custom import Second
from sim_workers.engine.custom.installed import InstalledMetric, installed_metrics
from sim_workers.engine.custom.loading import as_argument, load, needed
from sim_workers.engine.custom.second import ReadOnlySumo

Install = Callable[..., Path]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Puts packages where Python finds them."""
    monkeypatch.syspath_prepend(tmp_path)

    def put(package: str, code: str, entries: dict[str, str]) -> Path:
        (tmp_path / f"{package}.py").write_text(code)
        about = tmp_path / f"{package}-1.0.dist-info"
        about.mkdir(exist_ok=True)
        (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
        lines = [f"{name} = {value}" for name, value in entries.items()]
        (about / "entry_points.txt").write_text("\n".join(["[greenfork.metrics]", *lines]) + "\n")
        assert any(one.metadata["Name"] == package for one in distributions(path=[str(tmp_path)]))
        return tmp_path

    return put


def _found(name: str) -> InstalledMetric:
    return next(metric for metric in installed_metrics() if metric.name == name)


def test_a_package_adds_metrics(install: Install) -> None:
    """They are found with their package, and nothing of it is imported meanwhile."""
    root = install("gf_bad", "raise SystemExit('imported')\n", {"one": "gf_bad:f"})
    metric = _found("one")
    assert (metric.package, metric.module, metric.root) == ("gf_bad 1.0", "gf_bad", str(root))


def test_the_digest_is_of_the_code(install: Install) -> None:
    """A changed line changes it, and so does another function of the same file; nothing else."""
    install("gf_digest", "a = b = len\n", {"one": "gf_digest:a", "two": "gf_digest:b"})
    first, second = _found("one"), _found("two")
    assert first.digest == _found("one").digest
    assert first.digest != second.digest
    root = install("gf_digest", "a = b = max\n", {"one": "gf_digest:a"})
    assert _found("one").digest != first.digest
    (root / "__pycache__").mkdir(exist_ok=True)
    (root / "other.py").write_text("")
    install("gf_digest", "a = b = len\n", {"one": "gf_digest:a"})
    assert _found("one").digest == first.digest


def test_the_digest_covers_a_whole_package(install: Install) -> None:
    """Its data too, but not what Python compiles."""
    root = install("gf_about", "", {"deep": "gf_deep.code:f"})
    (root / "gf_deep" / "__pycache__").mkdir(parents=True)
    for name in ("__init__.py", "code.py", "weights.json"):
        (root / "gf_deep" / name).write_text("1")
    before = _found("deep").digest
    (root / "gf_deep" / "__pycache__" / "code.pyc").write_text("2")
    assert _found("deep").digest == before
    (root / "gf_deep" / "weights.json").write_text("2")
    assert _found("deep").digest != before


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ({"CO2": "gf_names:f"}, "called 'CO2'"),
        ({"a-b": "gf_names:f"}, "called 'a-b'"),
        ({"one": "gf_nowhere:f"}, "there is no module gf_nowhere"),
    ],
)
def test_what_cannot_be_one_is_refused(
    install: Install, entries: dict[str, str], words: str
) -> None:
    """The package is named."""
    install("gf_names", "", entries)
    with pytest.raises(ConfigError, match=words) as caught:
        installed_metrics()
    assert "gf_names 1.0" in caught.value.message


def test_two_of_one_name_are_refused(install: Install) -> None:
    """Both packages are named."""
    install("gf_first", "f = len", {"one": "gf_first:f"})
    install("gf_second", "f = len", {"one": "gf_second:f"})
    with pytest.raises(ConfigError, match=r"gf_first 1\.0 and gf_second 1\.0|gf_second.*gf_first"):
        installed_metrics()


def _loaded(install: Install, code: str, wanted: CustomMetric | None = None) -> object:
    install("gf_load", code, {"one": "gf_load:f"})
    metric = _found("one")
    sys.modules.pop("gf_load", None)
    return needed(load(as_argument([metric])), wanted or metric.wanted).code


def test_a_function_or_a_class_is_loaded(install: Install) -> None:
    """From the argument that a simulation process gets."""
    assert callable(_loaded(install, "def f(second):\n    return 1\n"))
    assert callable(_loaded(install, "class f:\n    def sample(self, second):\n        return 1\n"))


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("raise RuntimeError('no weights')", "RuntimeError: no weights"),
        ("raise SystemExit(3)", "SystemExit"),
        ("", "has no attribute 'f'"),
        ("f = 3", "neither a function nor a class"),
        ("class f: pass", "has no method sample"),
    ],
)
def test_what_cannot_be_loaded_says_why(install: Install, code: str, words: str) -> None:
    """As an error of the rollouts that need it."""
    with pytest.raises(RolloutError, match=words) as caught:
        _loaded(install, code)
    assert (caught.value.code, caught.value.retryable) == ("metric_missing", False)


def test_another_version_of_it_is_not_used(install: Install) -> None:
    """A worker that has other code than the gateway says so."""
    with pytest.raises(RolloutError) as caught:
        _loaded(install, "f = len", CustomMetric(name="one", digest="0" * 64))
    assert caught.value.code == "metric_differs"
    with pytest.raises(RolloutError) as caught:
        needed({}, CustomMetric(name="one", digest="0" * 64))
    assert caught.value.code == "metric_missing"


class _Domain:
    @staticmethod
    def subscribe() -> None:
        """Makes it a domain."""

    @staticmethod
    def getSpeed(vehicle_id: str) -> float:  # noqa: N802  SUMO's name
        """Reads."""
        return 3.0

    @staticmethod
    def setSpeed(vehicle_id: str, speed: float) -> None:  # noqa: N802  SUMO's name
        """Changes."""


def test_a_metric_can_only_read() -> None:
    """What would change the simulation is not there."""
    module = SimpleNamespace(vehicle=_Domain, simulationStep=len, isLibsumo=bool, VAR_SPEED=64)
    sumo = ReadOnlySumo(module)
    assert (sumo.vehicle.getSpeed("a"), sumo.VAR_SPEED) == (3.0, 64)
    for domain, name in ((sumo.vehicle, "setSpeed"), (sumo, "simulationStep")):
        with pytest.raises(AttributeError, match="may only read"):
            getattr(domain, name)
    second = Second(sumo, 1.0, 1, 60, ("c",), ("in_0",), ("out_0",))
    assert second.sumo.vehicle.getSpeed("a") == 3.0


def test_an_argument_survives_any_text() -> None:
    """It is JSON."""
    metric = InstalledMetric("one", "m:f", 'a "b" 1', "/a b", "0" * 64)
    assert json.loads(as_argument([metric]))[0]["package"] == 'a "b" 1'
