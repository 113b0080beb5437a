"""Small scenarios of a user, written by hand, and what is read of them."""

import re
from pathlib import Path

import pytest

from shared.errors import ScenarioError
from sim_workers.scenarios.scenario import CONFIG_NAME, Scenario, load_scenario

NET = "<net><edge id='e'/></net>"
TRIPS = "<routes><trip id='t' depart='0'/></routes>"
FLOWS = "<routes><flow id='f' begin='0' end='9'/></routes>"
BOMB = (
    '<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;"><!ENTITY c "&b;&b;">]>'
)


def write_config(
    folder: Path, options: str = "", name: str = "town.sumocfg", **files: str | bytes
) -> Path:
    """A configuration with a network and the given files, ``a_add_xml`` being ``a.add.xml``."""
    for file, content in {"town_net_xml": NET, **files}.items():
        data = content.encode() if isinstance(content, str) else content
        (folder / file.replace("_", ".")).write_bytes(data)
    net = "" if "net-file" in options else '<net-file value="town.net.xml"/>'
    config = folder / name
    config.write_text(f"<configuration>{net}{options}</configuration>")
    return config


def options_of(scenario: Scenario) -> dict[str, str]:
    """The options with which a scenario is run."""
    text = scenario.files[CONFIG_NAME].decode()
    return dict(re.findall(r'<([\w.-]+) value="([^"]*)"/>', text))


def refusal(config: Path, within: Path | None = None) -> ScenarioError:
    """Why a configuration is refused."""
    with pytest.raises(ScenarioError) as caught:
        load_scenario(config, within=within)
    return caught.value
