"""Any scenario: datasets of what our own two scenarios do not have are exact, too."""

import json
import random
import subprocess
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element

import defusedxml.ElementTree as SafeXml
import pytest

from shared.errors import RolloutRejected
from sim_workers.datasets.build_plan import BuildOptions
from sim_workers.datasets.builder import build_dataset
from sim_workers.scenarios.options import FILE_OPTIONS, SYNONYMS, is_kept
from tests.integration.conftest import read_rows
from tests.integration.sim_workers.odd_variants import ODD_VARIANTS
from tests.integration.sim_workers.uninterrupted import Question, plain_queues, sumo_binary
from tests.integration.sim_workers.variants import VARIANTS

ALL = VARIANTS | ODD_VARIANTS
_HORIZON_S = 60
_OPTIONS = BuildOptions(warmup_s=180, states=1, with_outcomes=True)
pytestmark = pytest.mark.usefixtures("one_fork_server")


def _remaining_s(row: dict[str, Any], decision: dict[str, Any]) -> float:
    """The contract's formula, written out again on purpose."""
    if decision["extend"]:
        return float(min(decision["extend_s"], row["max_green_s"] - row["elapsed_green_s"]))
    return float(max(0, row["min_green_s"] - row["elapsed_green_s"]))


@pytest.mark.parametrize("variant", ALL)
def test_outcomes_equal_the_uninterrupted_simulation(variant: str, tmp_path: Path) -> None:
    """What is stored for a state is what plain SUMO shows when it runs from its begin."""
    folder = tmp_path / variant
    folder.mkdir()
    dataset = tmp_path / "dataset"
    build_dataset(ALL[variant](folder), dataset, _OPTIONS)
    manifest = json.loads((dataset / "manifest.json").read_text())
    rows = read_rows(dataset)
    assert rows
    row = random.Random(variant).choice(rows)
    assert row["time_s"] == int(row["time_s"])
    questions = [
        Question(row["time_s"], row["tls_id"], _remaining_s(row, outcome["decision"]), _HORIZON_S)
        for outcome in row["outcomes"]
    ]
    queues = plain_queues(dataset, manifest, questions)
    for outcome, queue in zip(row["outcomes"], queues, strict=True):
        assert outcome["metrics"]["queue_veh"] == sum(queue) / _HORIZON_S
        assert outcome["metrics"]["queue_veh_max"] == max(queue)


def test_what_sumo_refuses_is_refused_in_its_words(tmp_path: Path) -> None:
    """A second program of the same name, for one."""
    config = VARIANTS["another_program"](tmp_path)
    signals = tmp_path / "signals.add.xml"
    signals.write_text(signals.read_text().replace('programID="other"', 'programID="0"'))
    with pytest.raises(RolloutRejected, match="programID '0' exists"):
        build_dataset(config, tmp_path / "dataset", _OPTIONS)


@pytest.fixture(scope="module")
def options(tmp_path_factory: pytest.TempPathFactory) -> list[Element]:
    """Every option of the installed SUMO, with its type and its other names."""
    template = tmp_path_factory.mktemp("sumo") / "template.xml"
    subprocess.run(  # fixed program of an installed package
        [sumo_binary(), "--save-template", template], check=True, capture_output=True
    )
    found = [element for element in SafeXml.parse(template).iter() if element.get("type")]
    assert len(found) > 300
    return found


def test_no_option_that_names_a_file_is_kept(options: list[Element]) -> None:
    """The files that go into a bundle do so under names of our own."""
    files = [option.tag for option in options if option.get("type") == "FILE"]
    assert set(FILE_OPTIONS) < set(files)
    assert not [name for name in files if is_kept(name)]


def test_every_other_name_of_a_kept_option_is_known(options: list[Element]) -> None:
    """So that a configuration with a short or old name is not reduced by it."""
    unknown = {
        synonym
        for option in options
        if is_kept(option.tag) or option.tag in (*FILE_OPTIONS, "end", "seed")
        for synonym in option.get("synonymes", "").split()
        if SYNONYMS.get(synonym) != option.tag and not is_kept(synonym)
    }
    assert unknown == set()
