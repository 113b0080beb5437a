"""The order of things: what datasets say, what the service is asked, and what cannot be judged."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from shared.decisions import Extend
from shared.errors import ConfigError, DatasetError, ModelError, ServiceRefused, ServiceUnreachable
from tests.unit.trainer.evaluation.outcome_service import Service
from tests.unit.trainer.evaluation.small_dataset import Moment, save_dataset
from trainer.evaluation import Evaluation, EvaluationPlan, assessment, evaluate
from trainer.evaluation.choices import Judged, PolicyAnswer, Progress


@pytest.fixture
def save(tmp_path: Path) -> Callable[..., Path]:
    """Saves a dataset of moments."""

    def save(*moments: Moment, name: str = "net", extend_s: int = 5, horizon_s: int = 60) -> Path:
        return save_dataset(tmp_path / name, moments, name, extend_s, horizon_s)

    return save


def regrets(evaluation: Evaluation) -> dict[str, tuple[float, float]]:
    """The mean regret of each policy: in the reward's unit, in vehicles."""
    found = {}
    for one in evaluation.policies:
        assert one.overall.regret is not None
        assert one.overall.regret_veh is not None
        found[one.policy] = (one.overall.regret.value, one.overall.regret_veh.value)
    return found


def test_stored_outcomes_are_enough(save: Callable[..., Path]) -> None:
    """Nobody is asked; waiting is judged by waiting, and queues by queues."""
    service = Service()
    root = save(Moment(yes_veh=4.0, no_veh=3.0), Moment(yes_veh=1.0, no_veh=2.5))
    plan = EvaluationPlan(
        (root,), baselines=("always-yes", "always-no", "oracle"), connect=service.connect
    )
    found = evaluate(plan)
    assert regrets(found) == {
        "always-yes": (0.5, 0.5),
        "always-no": (0.75, 0.75),
        "oracle": (0.0, 0.0),
    }
    assert (found.points, found.runs, found.horizon_s, found.failed) == (2, 1, 60, 0)
    assert not service.queries
    by_wait = evaluate(EvaluationPlan((root,), baselines=("always-yes",), reward="wait"))
    assert regrets(by_wait) == {"always-yes": (5.0, 0.5)}


def test_the_service_is_asked_for_the_rest(save: Callable[..., Path]) -> None:
    """For rows without outcomes only, with the seconds and the horizon that are theirs."""
    service = Service()
    root = save(Moment(yes_veh=None), Moment(yes_veh=4.0, no_veh=4.0), extend_s=7, horizon_s=45)
    plan = EvaluationPlan((root,), baselines=("always-no",), connect=service.connect)
    assert regrets(evaluate(plan)) == {"always-no": (0.75 / 2, 1.0)}
    [query] = service.queries
    assert (query.tls_id, query.reward, query.horizon_s) == ("C", "queue", 45)
    assert query.extend_s == 7


@pytest.mark.parametrize("wanted", [{"reward": "queue_gain"}, {"horizon_s": 30}])
def test_stored_outcomes_of_something_else_are_not_taken(
    save: Callable[..., Path], wanted: dict[str, object]
) -> None:
    """Neither for a reward that they do not give, nor for another horizon."""
    service, root = Service(), save(Moment())
    found = evaluate(EvaluationPlan((root,), connect=service.connect, **wanted))  # type: ignore[arg-type]
    assert regrets(found)["always-no"] == (0.75, 2.0)
    assert len(service.queries) == 1
    with pytest.raises(DatasetError, match=r"1 of 1 rows .*--url") as refused:
        evaluate(EvaluationPlan((root,), **wanted))  # type: ignore[arg-type]
    assert refused.value.code == "no_outcomes"


def test_rows_without_outcomes_say_the_way_out(save: Callable[..., Path]) -> None:
    """Which row, how many, and what to do."""
    root = save(Moment(), Moment(yes_veh=None))
    with pytest.raises(DatasetError, match=r"1 of 2 rows .*net@1-.*no outcomes.*--outcomes.*--url"):
        evaluate(EvaluationPlan((root,)))


def test_points_that_fail_are_listed(save: Callable[..., Path]) -> None:
    """A point of which one outcome is missing is left out: that one might be the best."""
    service = Service(unknown=frozenset({"net@0"}), lost=frozenset({"net@2"}))
    root = save(*[Moment(yes_veh=None)] * 3)
    found = evaluate(EvaluationPlan((root,), connect=service.connect))
    assert (found.points, found.failed) == (1, 2)
    failures = {one.state_id.partition("-")[0]: one.error.code for one in found.failures}
    assert failures == {"net@0": "unknown_state", "net@2": "worker_lost"}


def test_nothing_to_judge_is_an_error(save: Callable[..., Path]) -> None:
    """With the reason of the first."""
    service = Service(unknown=frozenset({"net@0"}))
    root = save(Moment(yes_veh=None))
    with pytest.raises(ServiceRefused, match=r"none of 1 .*net@0") as refused:
        evaluate(EvaluationPlan((root,), connect=service.connect))
    assert refused.value.code == "unknown_state"


def test_a_service_that_is_gone_ends_it(save: Callable[..., Path]) -> None:
    """Rather than every point failing by itself."""
    root = save(*[Moment(yes_veh=None)] * 3)
    with pytest.raises(ServiceUnreachable):
        evaluate(EvaluationPlan((root,), connect=Service(is_gone=True).connect))


class Stubborn:
    """Asks for seconds that are in no table."""

    name = "stubborn"

    def __init__(self, *extend_s: int) -> None:
        self._extend_s = extend_s

    def choose(self, judged: Sequence[Judged], progress: Progress) -> list[list[PolicyAnswer]]:
        """The same answers everywhere."""
        return [
            [PolicyAnswer(Extend(extend=True, extend_s=s)) for s in self._extend_s] for _ in judged
        ]


def stubborn(monkeypatch: pytest.MonkeyPatch, plan: EvaluationPlan) -> Evaluation:
    """Judges the stubborn one: better than all, failing, invalid, and the usual."""
    monkeypatch.setattr(
        assessment.EvaluationPlan, "policies", lambda self, points: [Stubborn(20, 30, 99, 5)]
    )
    return evaluate(plan)


def test_legal_answers_outside_the_table_are_scored(
    save: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the service, each as it comes out; a better one than all known has a negative regret."""
    service, root = Service(), save(Moment(yes_veh=3.0, no_veh=5.0))
    plan = EvaluationPlan((root,), reward="queue_gain", connect=service.connect)
    evaluation = stubborn(monkeypatch, plan)
    found = evaluation.policies[0].overall
    assert (found.answers, found.scored, found.unscored) == (4, 2, 0)
    assert (found.failed, found.invalid) == ({"worker_lost": 1}, {"above_max_green": 1})
    assert evaluation.failed == 1
    assert found.regret is not None
    assert found.regret.value == (-0.25 + 0.0) / 2
    assert found.regret_invalid_worst is not None
    assert found.regret_invalid_worst.value == (-0.25 + 0.0 + 0.75) / 3
    assert [item.decision for item in service.requests[0].of_traffic] == [
        Extend(extend=True, extend_s=s) for s in (20, 30, 99)
    ]


def test_without_a_service_they_are_counted(
    save: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As unscored; nothing failed."""
    evaluation = stubborn(monkeypatch, EvaluationPlan((save(Moment()),)))
    found = evaluation.policies[0].overall
    assert (found.scored, found.unscored, evaluation.failed) == (1, 3, 0)


def test_horizons_that_differ_are_asked_about(save: Callable[..., Path]) -> None:
    """Regrets over different times are no mean."""
    roots = (save(Moment()), save(Moment(), name="other", horizon_s=30))
    with pytest.raises(ConfigError, match=r"30 and 60 s: pass --horizon"):
        evaluate(EvaluationPlan(roots))


def test_missing_models_are_found_at_once(save: Callable[..., Path]) -> None:
    """Before anything is simulated."""
    service = Service()
    plan = EvaluationPlan(
        (save(Moment(yes_veh=None)),), models=("/nowhere",), connect=service.connect
    )
    with pytest.raises(ModelError, match="no model at '/nowhere'"):
        evaluate(plan)
    assert not service.queries


def test_at_most_so_many_points(save: Callable[..., Path]) -> None:
    """Spread over all, so that every run is among them."""
    moments = [Moment(run=f"seed{number // 5}") for number in range(20)]
    found = evaluate(EvaluationPlan((save(*moments),), max_points=4))
    assert (found.points, found.runs) == (4, 4)
