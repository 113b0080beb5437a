"""Two processes train one model: they stop together, and go on as if nothing had happened."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import yaml

from shared.wire.scoring import ScoreResponse
from tests.integration.trainer.small_service import Reply, SmallService, running, yes_is_better
from tests.integration.trainer.two_ranks import RANKS
from trainer import GRPOTrainingConfig
from trainer.runs.history import read_metrics

STEPS = 3
WHOLE = RANKS * (1 + STEPS)
"""Requests of a run: each rank asks whether the service works, and once per step."""


class OneIsLost(SmallService):
    """Drops a single request: in the second run's second step, that of the rank that comes last."""

    def score(self, body: bytes) -> ScoreResponse | Reply | None:
        """The answer to a request."""
        response = super().score(body)
        return None if len(self.requests) == WHOLE + RANKS * (1 + 2) else response


def test_ranks_stop_together_and_go_on(
    settings: Callable[..., GRPOTrainingConfig], tmp_path: Path
) -> None:
    """One of two ranks loses the service: neither makes the step, and nothing waits for ever.

    The resumed run logs what the uninterrupted one did, and the first rank's files are whole.
    """
    with running(OneIsLost(yes_is_better)) as url:
        files = []
        for name in ("whole", "lost"):
            out = str(tmp_path / name)
            config = settings(url, output_dir=out, max_steps=STEPS, save_steps=100)
            files.append(tmp_path / f"{name}.yaml")
            files[-1].write_text(yaml.safe_dump(config.to_dict()))
        done = subprocess.run(
            [sys.executable, "-m", "tests.integration.trainer.two_ranks", *map(str, files)],
            cwd=Path(__file__).parents[3],
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
    assert done.returncode == 0, done.stderr[-3000:]
    for rank in range(RANKS):
        stopped = (tmp_path / "lost" / f"stopped-{rank}").read_text()
        assert "does not answer" in stopped
        assert stopped.endswith("lost/checkpoint-1")
    whole, again = (read_metrics(tmp_path / n / "metrics.jsonl") for n in ("whole", "lost"))
    for name in ("reward", "kl", "grad_norm", "outcomes/yes"):
        assert [line.get(name) for line in again] == [line.get(name) for line in whole], name
    report = json.loads((tmp_path / "lost" / "report.json").read_text())
    assert report["completions"] == RANKS * 8 * (STEPS - 1)
    assert (tmp_path / "lost" / "merged" / "model.safetensors").is_file()
