"""One scenario tried: the user's own run against the product, in all digits."""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

from tests.fuzz import product
from tests.fuzz.networks import Network
from tests.fuzz.own_run import Answer, Question, Request, SumoRefused, ask
from tests.fuzz.product import Built, Refused, Row
from tests.fuzz.scenario import ENVIRONMENT, Scenario, write_scenario

__all__ = [
    "FAILURES",
    "Trial",
    "Verdict",
    "differences",
    "is_unsteady",
    "try_scenario",
    "try_served",
]

_MORE_S = 7
"""What is asked over HTTP looks so much further: nothing of it was stored."""
_OTHER_ADDRESSES = {"MALLOC_MMAP_THRESHOLD_": "1", "MALLOC_TOP_PAD_": "0"}
_NO_STATES = {"no_decision_points", "nothing_to_decide"}
_DOCUMENTED = {"mesoscopic": {"unsupported_input"}}
"""Codes that a feature may be refused with; docs/scenarios.md has the reasons."""


class Verdict(StrEnum):
    """What came of a trial."""

    EXACT = "exact"
    NO_STATES = "no states"
    REFUSED = "refused as documented"
    INVALID = "refused as by SUMO"
    DIFFERENT = "different"
    REFUSED_WRONGLY = "refused wrongly"
    ACCEPTED_WRONGLY = "accepted though SUMO refuses"
    CRASHED = "crashed"
    UNSTEADY = "own run depends on heap addresses"
    INCONSISTENT = "own run and its copies differ"


FAILURES = {
    Verdict.DIFFERENT,
    Verdict.REFUSED_WRONGLY,
    Verdict.ACCEPTED_WRONGLY,
    Verdict.CRASHED,
    Verdict.INCONSISTENT,
}


@dataclass(frozen=True)
class Trial:
    """A scenario and what came of it."""

    scenario: Scenario
    verdict: Verdict
    detail: str
    """The first difference, or why there is no dataset."""
    compared: int = 0
    """Decisions of which everything was compared."""
    built: Built | None = None
    answers: tuple[Answer, ...] = ()

    @property
    def kind(self) -> str:
        """What two trials share that fail alike."""
        is_refusal = self.verdict is Verdict.REFUSED_WRONGLY
        return f"{self.verdict}: {self.detail.split(':')[0]}" if is_refusal else str(self.verdict)


def try_scenario(
    scenario: Scenario, network: Network, work: Path, run: product.Command = product.in_a_process
) -> Trial:
    """Builds a scenario, and asks the user's own simulation all that the dataset claims.

    Args:
        scenario: The scenario.
        network: Its network.
        work: An empty folder.
        run: Runs the product's command.
    """
    config = write_scenario(scenario, network.path, work / "user")
    shutil.copytree(config.parent, work / "own")
    own = _request(scenario, work / "own" / config.name)
    built = product.build(config, work / "dataset", scenario.settings, run)
    if isinstance(built, Refused):
        return _judge_refusal(scenario, built, own)
    questions = tuple(_questions(built.rows))
    own = replace(own, questions=questions, actions=built.actions)
    try:
        answers = ask(own, **ENVIRONMENT)
        alone = ask(replace(own, questions=questions[-1:], is_alone=True), **ENVIRONMENT)
    except SumoRefused as exc:
        return Trial(scenario, Verdict.ACCEPTED_WRONGLY, str(exc), built=built)
    if alone != answers[-1:]:
        return Trial(scenario, Verdict.INCONSISTENT, str(questions[-1]), built=built)
    found = next(differences(built.rows, answers, scenario.settings.horizon_s), None)
    verdict = Verdict.EXACT if found is None else Verdict.DIFFERENT
    return Trial(scenario, verdict, found or "", len(questions), built, tuple(answers))


def is_unsteady(trial: Trial, work: Path) -> bool:
    """Whether the user's own run is another one where heap addresses are others; slow."""
    if trial.built is None or not trial.answers:
        return False
    config = next((work / "own").glob("*.sumocfg"))
    questions = tuple(_questions(trial.built.rows))
    own = replace(
        _request(trial.scenario, config), questions=questions, actions=trial.built.actions
    )
    return ask(own, **ENVIRONMENT, **_OTHER_ADDRESSES) != list(trial.answers)


def try_served(trials: Sequence[Trial], work: Path) -> list[Trial]:
    """Scores all decisions of exact trials over HTTP, by one service; gives the trials anew."""
    exact = [trial for trial in trials if trial.verdict is Verdict.EXACT]
    datasets = [trial.built.folder for trial in exact if trial.built is not None]
    if not datasets:
        return list(trials)
    with product.served(datasets, work) as client:
        served = {trial.scenario.name: _served(trial, client) for trial in exact}
    return [served.get(trial.scenario.name, trial) for trial in trials]


def _served(trial: Trial, client: Any) -> Trial:  # noqa: ANN401  httpx, for the adapter alone
    assert trial.built is not None
    horizon_s = trial.scenario.settings.horizon_s + _MORE_S
    items = [(row, decision) for row in trial.built.rows for decision, _ in row.outcomes]
    results = product.score(client, items, horizon_s)
    pairs = zip(items, results, trial.answers, strict=True)
    for (row, decision), result, answer in pairs:
        where = f"over HTTP, {row.state_id} {row.tls_id} {decision}"
        if result["status"] != "scored":
            return replace(trial, verdict=Verdict.DIFFERENT, detail=f"{where}: {result['error']}")
        found = _difference(answer.metrics[str(horizon_s)], result["metrics"])
        if found is None and result["reward"] != -result["metrics"]["queue_veh"]:
            found = f"the reward is {result['reward']}"
        if found is not None:
            return replace(trial, verdict=Verdict.DIFFERENT, detail=f"{where}: {found}")
    return trial


def _request(scenario: Scenario, config: Path) -> Request:
    horizon_s = scenario.settings.horizon_s
    return Request(
        config=str(config),
        seed=scenario.settings.seed,
        is_teleport_silent=all(each.name != "time-to-teleport" for each in scenario.options),
        horizons_s=(horizon_s, horizon_s + _MORE_S),
        questions=(),
    )


def _judge_refusal(scenario: Scenario, refused: Refused, own: Request) -> Trial:
    detail = f"{refused.code}: {refused.message}"
    if refused.code in _NO_STATES:
        return Trial(scenario, Verdict.NO_STATES, detail)
    documented = {code for feature in scenario.features for code in _DOCUMENTED.get(feature, set())}
    if refused.code in documented:
        return Trial(scenario, Verdict.REFUSED, detail)
    try:
        ask(own, **ENVIRONMENT)
    except SumoRefused as exc:
        return Trial(scenario, Verdict.INVALID, f"{detail} / SUMO: {exc}")
    is_crash = refused.code in ("crashed", "too_slow")
    return Trial(scenario, Verdict.CRASHED if is_crash else Verdict.REFUSED_WRONGLY, detail)


def _questions(rows: Sequence[Row]) -> Iterator[Question]:
    """Every decision of every row; rows stand in the order of time."""
    for row in rows:
        for decision, _ in row.outcomes:
            yield Question(row.time_s, row.tls_id, decision, row.min_green_s, row.max_green_s)


def differences(rows: Sequence[Row], answers: Sequence[Answer], horizon_s: int) -> Iterator[str]:
    """What the rows say otherwise than the user's own run, one answer a decision in their order."""
    remaining = iter(answers)
    for row in rows:
        if row.fidelity not in (None, "own"):
            yield f"{row.state_id} {row.tls_id}: fidelity {row.fidelity}"
        if len(row.outcomes) < 2:
            yield f"{row.state_id} {row.tls_id}: only {len(row.outcomes)} legal decisions"
        for decision, metrics in row.outcomes:
            answer = next(remaining)
            where = f"{row.state_id} {row.tls_id} {decision}"
            if (row.phase, row.elapsed_s) != (answer.phase, answer.elapsed_s):
                yield (
                    f"{where}: own phase {answer.phase} for {answer.elapsed_s:g} s, product "
                    f"{row.phase} for {row.elapsed_s:g} s"
                )
            found = _difference(answer.metrics[str(horizon_s)], metrics)
            if found is not None:
                yield f"{where}: {found}"


def _difference(own: Mapping[str, Any], claimed: Mapping[str, Any]) -> str | None:
    for name, value in own.items():
        if claimed.get(name) != value:
            return f"{name} own {value!r}, product {claimed.get(name)!r}"
    return None
