"""The demo's steps, small: real SUMO, real Ray, a real gateway, and the small model it makes."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.integration.conftest import OWN

_LIMIT_S = 300
_SETTINGS = """
lora_rank: 0
batch_size: 8
gradient_accumulation_steps: 1
num_generations: 4
max_seq_length: 512
max_new_tokens: 12
kl_coeff: 0
logging_steps: 1
"""


def test_the_demo_does_the_main_job_and_leaves_nothing_running(tmp_path: Path) -> None:
    """From a dataset to a model that is trained and evaluated, by the commands of the README."""
    out, config = tmp_path / "demo", tmp_path / "two-prompts-a-step.yaml"
    config.write_text(_SETTINGS)
    scenario = Path(shutil.copytree(OWN["crossing"].parent, tmp_path / "town")) / "crossing.sumocfg"
    scenario.write_text(scenario.read_text().replace('<end value="3600"/>', '<end value="900"/>'))
    command = [sys.executable, "-m", "greenfork", "demo", "--scenario", str(scenario)]
    command += ["--out", str(out), "--states", "10", "--held-out", "4"]
    command += ["--lessons", "64", "--config", str(config), "--max-steps", "2"]
    mark = {"GREENFORK_TEST_MARK": str(tmp_path)}
    done = subprocess.run(
        command,
        env=os.environ | mark,
        capture_output=True,
        text=True,
        timeout=_LIMIT_S,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert "What was scored" in done.stdout
    assert "The reward " in done.stdout
    results = [json.loads(line) for line in (out / "rewards.jsonl").read_text().splitlines()]
    assert len(results) == 21
    assert [r["status"] for r in results].count("invalid") == 1
    assert all(r["cached"] for r in results if r["status"] == "scored")
    steps = (out / "training" / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(step)["step"] for step in steps] == [1, 2]
    for plot in (out / "training" / "rewards.png", out / "evaluation.png"):
        assert plot.read_bytes().startswith(b"\x89PNG")
    for model in (out / "warm-start" / "model", out / "training" / "model"):
        assert list(model.glob("model*.safetensors"))
    assert _processes_with(f"GREENFORK_TEST_MARK={tmp_path}") == []


def _processes_with(variable: str) -> list[str]:
    """Command lines of the living processes that inherited an environment variable."""
    found = []
    for folder in Path("/proc").iterdir():
        try:
            environment = (folder / "environ").read_bytes()
            command = (folder / "cmdline").read_bytes()
        except OSError:
            continue
        if variable.encode() in environment:
            found.append(command.replace(b"\0", b" ").decode())
    return found
