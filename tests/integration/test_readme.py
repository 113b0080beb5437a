"""The README's example is what its own command leads to."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

from shared.decisions import Extend
from shared.rewards import Metrics
from sim_workers.pool.rollouts import RolloutTask
from tests.integration.sim_workers.rolling import make_worker, run_task
from tests.integration.sim_workers.uninterrupted import Question, plain_queue

ROOT = Path(__file__).parents[2]


def test_example_is_true(tmp_path: Path) -> None:
    """The state is in the dataset that is named, and both answers queue as many as is printed."""
    readme = (ROOT / "README.md").read_text()
    command = re.search(r"`greenfork (dataset build scenarios/crossing[^`]*)`", readme)
    shown = re.findall(r'"metrics": \{"queue_veh": ([\d.]+)', readme)
    (state_id,) = set(re.findall(r'"state_id": "([^"]+)"', readme))
    assert command is not None
    config, *options = shlex.split(command[1])[2:]
    out = tmp_path / "crossing"
    options[options.index("--out") + 1] = str(out)
    arguments = ["dataset", "build", str(ROOT / config), *options]
    subprocess.run([sys.executable, "-m", "greenfork", *arguments], cwd=ROOT, check=True)
    worker = make_worker()
    try:
        tasks = [RolloutTask.of(state_id, "c", Extend(extend=yes), 60) for yes in (True, False)]
        outcomes = [run_task(worker, out, task) for task in tasks]
    finally:
        worker.close()
    assert all(isinstance(outcome, Metrics) for outcome in outcomes)
    assert [repr(o.queue_veh) for o in outcomes if isinstance(o, Metrics)] == shown
    assert [repr(_plain_queue(ROOT / config, yes)) for yes in (True, False)] == shown


def _plain_queue(config: Path, yes: bool) -> float:
    """What plain SUMO of the configuration itself shows, none of our files in it."""
    manifest = {"simulation": {"command": ["-c", str(config), "--seed", "1"]}}
    question = Question(1925.0, "c", 5.0 if yes else 0.0)
    return sum(plain_queue(config.parent, manifest, question)) / 60
