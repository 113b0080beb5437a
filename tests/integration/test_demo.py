"""The demo's steps, small: real SUMO, real Ray, a real gateway; only the model is a tiny one."""

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.integration.conftest import OWN
from tests.integration.trainer.tiny_llama import save_tiny_llama

_LIMIT_S = 300


def test_the_demo_does_the_main_job_and_leaves_nothing_running(tmp_path: Path) -> None:
    """Dataset, service, offline scores and GRPO through the URL, by the commands of the README."""
    model, out = tmp_path / "model", tmp_path / "demo"
    save_tiny_llama(model)
    command = [sys.executable, "-m", "cli", "demo", "--scenario", str(OWN["crossing"])]
    command += ["--out", str(out), "--states", "10", "--max-steps", "2"]
    command += ["--model-path", str(model)]
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
    assert "What was done" in done.stdout
    results = [json.loads(line) for line in (out / "rewards.jsonl").read_text().splitlines()]
    assert len(results) == 21
    assert [r["status"] for r in results].count("invalid") == 1
    assert all(r["cached"] for r in results if r["status"] == "scored")
    steps = (out / "training" / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(step)["step"] for step in steps] == [1, 2]
    assert (out / "training" / "rewards.png").read_bytes().startswith(b"\x89PNG")
    assert list((out / "training" / "adapter").glob("adapter_model*"))
    assert list((out / "training" / "merged").glob("model*.safetensors"))
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
