"""Offline training on plans: sampled, scored at a URL, and learned from."""

import json
from pathlib import Path

import pytest

from greenfork.main import app
from shared.rewards import DomainMetrics
from shared.wire.scoring import Counts, DomainItem, ScoreRequest, ScoreResponse, ScoreResult
from shared.wire.states import Simulator
from tests.integration.trainer.small_service import SmallService, running, yes_is_better
from trainer.offline.candidates import load_candidates
from trainer.runs.history import read_metrics

_PLAN = "(well the)"


class _PlanService(SmallService):
    """Judges plans: one of them is right."""

    def score(self, body: bytes) -> ScoreResponse:
        """1 for the right plan, invalid for what is none."""
        request = ScoreRequest.model_validate_json(body)
        self.requests.append(request)
        results = tuple(self._result(item) for item in request.items)
        counts = Counts.of(results, len(results))
        return ScoreResponse(results=results, counts=counts, simulator=Simulator(version="0"))

    def _result(self, item: object) -> ScoreResult:
        assert isinstance(item, DomainItem)
        if item.completion == _PLAN:
            metrics = DomainMetrics({"is_valid": 1})
            return ScoreResult(id=None, status="scored", reward=1.0, metrics=metrics)
        return ScoreResult(id=None, status="invalid", reward=-1.0)


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """Twenty problems."""
    rows = [
        {
            "prompt": [{"role": "user", "content": "well" if number % 2 else "the"}],
            "domain": "planning",
            "problem_id": f"ferry-{number}-abc",
            "problem_file": f"ferry/p{number}.pddl",
            "difficulty": 1.0,
            "plan": _PLAN,
            "plan_steps": 1,
        }
        for number in range(20)
    ]
    folder = tmp_path / "problems"
    folder.mkdir()
    (folder / "train.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    (folder / "planning.json").write_text("{}")
    return folder


def _run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        app([*arguments])
    return int(ended.value.code or 0)


def test_a_model_learns_from_plans_that_were_scored(
    dataset: Path, tmp_path: Path, tiny_llama: Path
) -> None:
    """Its own samples and the reference plan, which it finds likeliest in the end."""
    out, model = tmp_path / "plans.jsonl", str(tiny_llama)
    with running(_PlanService(yes_is_better)) as url:
        sampling = ("--samples", "3", "--max-new-tokens", "6", "--plan-reward", "plan_valid")
        status = _run(
            *("dataset", "plans", str(dataset), "--out", str(out), "--model", model, "--url", url),
            *sampling,
        )
    assert status == 0
    groups = load_candidates(out)
    assert len(groups) == 20
    assert all(one.candidates[0].text == _PLAN for one in groups)
    assert all(one.candidates[-1].scored.score == -1 for one in groups)
    settings = ("rce_epochs=2", "grpo_epochs=1", "learning_rate=0.005", "device=cpu")
    status = _run(
        *("train", "offline", "--config", "planning-offline", "--sft-ckpt", model),
        *("--beam-data", str(out), "--output-dir", str(tmp_path / "run")),
        *(word for one in settings for word in ("--set", one)),
    )
    assert status == 0
    assert (tmp_path / "run" / "model" / "model.safetensors").is_file()
    agreements = [
        line["eval_agreement"]
        for line in read_metrics(tmp_path / "run" / "metrics.jsonl")
        if "eval_agreement" in line
    ]
    assert agreements[-1] == 1
