"""Datasets are looked through before they are served, whoever made them."""

from pathlib import Path

import pytest

from shared.errors import ScenarioError, StateFileError
from sim_workers.scenarios.scenario import CONFIG_NAME, check_served, load_scenario
from sim_workers.states.store import StateStore
from tests.unit.sim_workers.handmade_datasets import replace_state, state_content, write_dataset
from tests.unit.sim_workers.small_scenarios import write_config


@pytest.fixture
def files(tmp_path: Path) -> dict[str, bytes]:
    """A scenario as a dataset has it, one of its outputs silenced."""
    detector = '<additional><e1Detector id="d" lane="e_0" pos="1" file="o.xml"/></additional>'
    config = write_config(
        tmp_path, '<additional-files value="a.add.xml"/>', "town.sumocfg", a_add_xml=detector
    )
    return load_scenario(config).files


def test_what_a_build_writes_is_served(files: dict[str, bytes]) -> None:
    """Outputs in it lead nowhere."""
    check_served(files)


@pytest.mark.parametrize(
    "option",
    [
        '<tripinfo-output value="/tmp/spoiled.xml"/>',
        '<device.ssm.file value="/tmp/spoiled.xml"/>',
        '<save-state.times value="9"/>',
        '<load-state value="/etc/passwd"/>',
        '<begin value="${SECRET}"/>',
    ],
)
def test_configuration_that_gained_an_option_is_not(files: dict[str, bytes], option: str) -> None:
    """One that writes, reads, or would tell what the environment holds."""
    text = files[CONFIG_NAME].decode()
    name = option[1:].partition(" ")[0]
    kept = "\n".join(line for line in text.splitlines() if f"<{name} " not in line)
    changed = kept.replace("</configuration>", f"{option}</configuration>").encode()
    with pytest.raises(ScenarioError):
        check_served(files | {CONFIG_NAME: changed})


def test_file_that_gained_an_output_is_not(files: dict[str, bytes]) -> None:
    """Its name is told."""
    changed = files["additional0.add.xml"].replace(b"/dev/null", b"/tmp/spoiled.xml")
    with pytest.raises(ScenarioError, match=r"additional0\.add\.xml makes SUMO write files"):
        check_served(files | {"additional0.add.xml": changed})


def test_state_that_makes_sumo_write_is_not(tmp_path: Path) -> None:
    """Even if its id is the digest of what it holds."""
    (first, _) = write_dataset(tmp_path)
    harmful = b'<vehicle id="a"><param key="device.ssm.file" value="/tmp/spoiled.xml"/></vehicle>'
    content = state_content(600).replace(b"/>", b">" + harmful + b"</snapshot>")
    state_id = replace_state(tmp_path, first, content)
    with pytest.raises(StateFileError, match="names another file"):
        StateStore.open([tmp_path]).get(state_id).read()
