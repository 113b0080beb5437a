"""``greenfork control --model``: a model of the trainer drives whole episodes."""

import json
from pathlib import Path

import pytest

from greenfork.main import commands
from tests.integration.conftest import OWN

pytestmark = pytest.mark.usefixtures("one_fork_server")


def test_a_model_drives_and_what_cannot_be_read_is_counted(
    tiny_llama: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A random one gives both kinds of answer; replayed, its record makes the same figures."""
    common = ["control", str(OWN["crossing"]), "--protocol", "program", "--end", "120", "--json"]
    sampled = ["--seeds", "2", "--temperature", "1", "--max-new-tokens", "2"]
    asked = [*common, "--model", str(tiny_llama), *sampled, "--trips", str(tmp_path)]
    assert commands(asked, standalone_mode=False) == 0
    (model,) = json.loads(capsys.readouterr().out)["controllers"]
    assert (model["name"], model["failed"]) == ("model", 0)
    for episode in model["episodes"]:
        counted = episode["figures"]["decisions"]
        given = [sum(of_kind.values()) for of_kind in counted.values()]
        assert sum(given) == episode["decisions"] > 0
        assert sum(of_kind["invalid"] for of_kind in counted.values()) == episode["invalid"]
        assert counted["text"] == {"valid": 0, "invalid": episode["invalid"]}
    decisions = sum(one["decisions"] for one in model["episodes"])
    invalid = sum(one["invalid"] for one in model["episodes"])
    assert 0 < invalid < decisions
    assert model["invalid_share"] == pytest.approx(invalid / decisions)
    record = tmp_path / "model-seed1.record.jsonl"
    again = [*common, "--controller", f"replay:{record}", "--seeds", "1"]
    assert commands(again, standalone_mode=False) == 0
    (replayed,) = json.loads(capsys.readouterr().out)["controllers"]
    for name in ("figures", "decisions", "invalid"):
        assert replayed["episodes"][0][name] == model["episodes"][0][name]
