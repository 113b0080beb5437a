"""The benchmark's reward service: exact rewards out of a file, and rows to train on."""

import json

from benchmarks.gpu.ledger import LEDGER, LedgerService
from shared.decisions import Extend
from shared.rewards import RewardSpec
from shared.wire.scoring import ScoreItem, ScoreRequest
from trainer import load_grpo_dataset


def test_rewards_are_those_of_the_recorded_rollouts() -> None:
    """A decision, a completion, an answer that is none, and a state that nobody recorded."""
    row = json.loads(LEDGER.read_text().splitlines()[7])
    queues = {one["decision"]["extend"]: one["metrics"]["queue_veh"] for one in row["outcomes"]}
    here = {"state_id": row["state_id"], "tls_id": row["tls_id"]}
    items = (
        ScoreItem(**here, decision=Extend(extend=False)),
        ScoreItem(**here, decision_kind="extend", completion='{"extend": "yes"}'),
        ScoreItem(**here, decision_kind="extend", completion="well"),
        ScoreItem(state_id="gone@1-00", tls_id="c", decision=Extend(extend=True)),
    )
    asked = ScoreRequest(items=items, reward=RewardSpec(name="queue"), timeout_s=9)
    found = LedgerService().score(asked).results
    assert [one.reward for one in found] == [-queues[False], -queues[True], -1.0, None]
    assert [one.status for one in found] == ["scored", "scored", "invalid", "failed"]


def test_the_ledger_is_a_dataset() -> None:
    """With both outcomes of every decision point, and different states."""
    rows = load_grpo_dataset(LEDGER)
    assert len(set(rows["state_id"])) == len(rows) == 48
    assert all(len(one) == 2 for one in rows["outcomes"])
