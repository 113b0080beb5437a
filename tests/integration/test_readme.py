"""The README's example is what its own command leads to."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from shared.decisions import Extend
from shared.rewards import Metrics
from tests.integration.reward_server.serving import served
from tests.integration.sim_workers.rolling import make_worker, rollout_in, run_rollout
from tests.integration.sim_workers.uninterrupted import Question, plain_queues

ROOT = Path(__file__).parents[2]


README = (ROOT / "README.md").read_text()


@pytest.fixture(scope="module")
def crossing(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The configuration of the README's command, and the dataset that the command builds."""
    command = re.search(r"`greenfork (dataset build scenarios/crossing[^`]*)`", README)
    assert command is not None
    config, *options = shlex.split(command[1])[2:]
    out = tmp_path_factory.mktemp("readme") / "crossing"
    options[options.index("--out") + 1] = str(out)
    arguments = ["dataset", "build", str(ROOT / config), *options]
    subprocess.run([sys.executable, "-m", "greenfork", *arguments], cwd=ROOT, check=True)
    return ROOT / config, out


def test_snippet_prints_what_is_shown(crossing: tuple[Path, Path], tmp_path: Path) -> None:
    """The first example in Python, run against a service as it is started there."""
    shown = re.search(r"^```python score\n(.*?)^```\n\n```\n(.*?)^```$", README, re.S | re.M)
    assert shown is not None
    code, printed = shown.groups()
    with served(crossing[1], data_dir=tmp_path) as url:
        run = subprocess.run(
            [sys.executable, "-c", code.replace("http://127.0.0.1:8000", url)],
            cwd=ROOT,
            check=True,
            capture_output=True,
            text=True,
        )
    assert run.stdout == printed


def test_example_is_true(crossing: tuple[Path, Path]) -> None:
    """The state is in the dataset that is named, and both answers queue as many as is printed."""
    config, out = crossing
    shown = re.findall(r'"metrics": \{"queue_veh": ([\d.]+)', README)
    (state_id,) = set(re.findall(r'"state_id": "([^"]+)"', README))
    worker = make_worker()
    try:
        outcomes = [
            run_rollout(worker, out, rollout_in(out, state_id, "c", Extend(extend=yes)))
            for yes in (True, False)
        ]
    finally:
        worker.close()
    assert all(isinstance(outcome, Metrics) for outcome in outcomes)
    assert [repr(o.queue_veh) for o in outcomes if isinstance(o, Metrics)] == shown
    manifest = {"simulation": {"command": ["-c", str(config), "--seed", "1"]}}
    questions = [Question(1925.0, "c", remaining_s) for remaining_s in (5.0, 0.0)]
    queues = plain_queues(config.parent, manifest, questions)
    assert [repr(sum(queue) / 60) for queue in queues] == shown
