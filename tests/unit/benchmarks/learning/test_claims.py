"""What has to be reached, and how it is shown."""

from pathlib import Path

import pytest

from benchmarks.learning.claims import Claim, claims
from benchmarks.learning.judging import judgement
from benchmarks.learning.tables import claims_table, policies_table, times_table
from tests.unit.trainer.evaluation.small_dataset import Moment, save_dataset
from trainer.evaluation.report import Evaluation, PolicyReport

MOMENTS = (
    *(Moment(yes_veh=4.0, no_veh=2.0, run=f"seed{run}", queued=(1, 5)) for run in (1, 2, 2)),
    Moment(yes_veh=1.0, no_veh=5.0, run="seed1", queued=(5, 1)),
)


@pytest.fixture
def evaluation(tmp_path: Path) -> Evaluation:
    """The rules, and copies of them in the places of the trained models."""
    save_dataset(tmp_path / "net", MOMENTS)
    found = judgement(tmp_path, (), [])
    by_name = {one.policy: one for one in found.policies}
    models = {"warm-start": "always-no", "grpo-1": "longest-queue", "grpo-shuffled": "always-no"}
    named = [_named(by_name[policy], name) for name, policy in models.items()]
    return found.model_copy(update={"policies": (*found.policies, *named)})


def _named(report: PolicyReport, name: str) -> PolicyReport:
    strict = report.overall.yes.model_copy(update={"value": 1.0}) if report.overall.yes else None
    overall = report.overall.model_copy(update={"strict": strict})
    return report.model_copy(update={"policy": name, "overall": overall})


def test_each_claim_is_held_against_its_figure(evaluation: Evaluation) -> None:
    """A run without regret reaches all, but to be better than a rule without any."""
    found = {claim.text: claim for claim in claims(evaluation, (1,))}
    missed = [text for text, claim in found.items() if not claim.is_reached]
    assert missed == [
        "regret below that of longest-queue, 0.000",
        "regret below that of most-vehicles, 0.000",
    ]
    assert found["yes between 20% and 45%"].found == 0.25


def test_answers_without_an_outcome_refute_the_proof(evaluation: Evaluation) -> None:
    """They are left out of regret and agreement, so a run might do well on what is left."""
    asking = "answers left unscored: none"
    assert [one.is_reached for one in claims(evaluation, (1,)) if one.text == asking] == [True]
    changed = evaluation.model_copy(
        update={
            "policies": tuple(
                one.model_copy(update={"overall": one.overall.model_copy(update={"unscored": 3})})
                for one in evaluation.policies
            )
        }
    )
    (found,) = [one for one in claims(changed, (1,)) if one.text == asking]
    assert (found.policy, found.found, found.is_reached) == ("grpo-1", 3, False)
    assert "| 3 |" in policies_table(changed)


def test_the_control_must_not_learn(evaluation: Evaluation) -> None:
    """A shuffled run that does as well as the best rule refutes the proof."""
    (*_, control) = claims(evaluation, (1,))
    assert (control.policy, control.found, control.is_reached) == ("grpo-shuffled", 1.0, True)
    learned = [
        _named(one, "grpo-shuffled") if one.policy == "longest-queue" else one
        for one in evaluation.policies
        if one.policy != "grpo-shuffled"
    ]
    learned += [_named(learned[2], "longest-queue")]
    changed = evaluation.model_copy(update={"policies": tuple(learned)})
    assert not claims(changed, (1,))[-1].is_reached


def test_tables_have_a_row_each(evaluation: Evaluation) -> None:
    """Policies with intervals, claims with a clear no, stages with their seconds."""
    rows = policies_table(evaluation).splitlines()
    assert rows[0].startswith("| policy | regret, vehicles |")
    assert len(rows) == 2 + len(evaluation.policies)
    assert rows[2].startswith("| always-yes | 1.500 [1.000, 2.000] |")
    assert claims_table([Claim("grpo-1", "better", 0.5, is_reached=False)]).endswith(
        "| grpo-1 | better | 0.500 | **no** |\n"
    )
    assert times_table({"build": 61.4}).endswith("| build | 61 |\n")
