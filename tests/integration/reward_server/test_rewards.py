"""Every reward, outcomes, joint decisions and seeds, over HTTP from real SUMO.

Asked for without our client, and compared with what the builder wrote into the datasets.
"""

import json
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from shared.rewards import Metrics
from tests.integration.conftest import read_rows
from tests.integration.reward_server.serving import GREENFORK, served

Json = dict[str, Any]
HORIZON_S = 60
YES, NO = {"kind": "extend", "extend": True}, {"kind": "extend", "extend": False}


@dataclass(frozen=True)
class Service:
    """A service and the rows of the datasets that it serves."""

    url: str
    crossing: list[Json]
    grid: list[Json]

    def score(self, items: list[Json], series: bool = False, **reward: Any) -> list[Json]:  # noqa: ANN401
        """The results of items under a reward."""
        body = {
            "items": items,
            "reward": {"horizon_s": HORIZON_S} | reward,
            "timeout_s": 120,
            "series": series,
        }
        answer = httpx.post(f"{self.url}/v1/score", json=body, timeout=130)
        results: list[Json] = answer.raise_for_status().json()["results"]
        return results

    def outcomes(self, row: Json, **query: Any) -> Json:  # noqa: ANN401
        """Every legal decision at a row's signal."""
        params = {"tls_id": row["tls_id"], "horizon_s": HORIZON_S, "timeout_s": 120} | query
        path = f"{self.url}/v1/states/{row['state_id']}/outcomes"
        body: Json = httpx.get(path, params=params, timeout=130).raise_for_status().json()
        return body


@pytest.fixture(scope="module")
def datasets(dataset_of: Callable[[str], Path]) -> tuple[Path, Path]:
    """The crossing's and the grid's."""
    return dataset_of("crossing"), dataset_of("grid2x2")


@pytest.fixture(scope="module")
def service(
    datasets: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    """One server for all tests here."""
    with served(*datasets, data_dir=tmp_path_factory.mktemp("data")) as url:
        yield Service(url, *(read_rows(dataset) for dataset in datasets))


def items_of(rows: list[Json]) -> tuple[list[Json], list[Json]]:
    """The rows' stored outcomes as items, and their metrics."""
    items, metrics = [], []
    for row in rows:
        for outcome in row["outcomes"]:
            where = {"state_id": row["state_id"], "tls_id": row["tls_id"]}
            items.append(where | {"decision": outcome["decision"]})
            metrics.append(outcome["metrics"])
    return items, metrics


def gain(queue_veh: float, reference_veh: float) -> float:
    """The contract's formula, written once more."""
    return (reference_veh - queue_veh) / (reference_veh + queue_veh + 1)


FORMULAE: dict[str, Callable[[Json, Json], float | None]] = {
    "queue": lambda run, ref: -run["queue_veh"],
    "queue_gain": lambda run, ref: gain(run["queue_veh"], ref["queue_veh"]),
    "wait": lambda run, ref: -run["wait_s"],
    "pressure": lambda run, ref: -abs(run["pressure_veh"]),
    "speed": lambda run, ref: run["speed_mps"],
    "delay": lambda run, ref: -run["delay_veh"],
}


@pytest.mark.parametrize("name", FORMULAE)
def test_reward_is_its_formula_of_the_stored_metrics(service: Service, name: str) -> None:
    """To the last bit; a speed that is null in the dataset is an error here."""
    rows = service.crossing + service.grid[:4]
    items, metrics = items_of(rows)
    references = [
        service.outcomes(row)["reference"]["metrics"] for row in rows for _ in row["outcomes"]
    ]
    expected = [FORMULAE[name](run, ref) for run, ref in zip(metrics, references, strict=True)]
    results = service.score(items, name=name)
    assert [result["reward"] for result in results] == expected
    failed = [r["error"]["code"] for r in results if r["reward"] is None]
    assert set(failed) <= {"undefined_metric"}
    assert {r["restore"] for r in results} == {row["restore"] for row in rows}


def test_sum_is_the_weighted_sum_of_its_terms(service: Service) -> None:
    """Of the rewards that each term gives alone."""
    items, _ = items_of(service.crossing[:3])
    terms = {"queue_gain": 1.0, "pressure": 0.1, "wait": -0.01}
    parts = {name: [r["reward"] for r in service.score(items, name=name)] for name in terms}
    sums = [r["reward"] for r in service.score(items, name="sum", terms=terms)]
    for index, total in enumerate(sums):
        by_hand = sum(weight * parts[name][index] for name, weight in terms.items())
        assert total == pytest.approx(by_hand, abs=1e-12)


def test_outcomes_are_those_of_the_dataset(service: Service) -> None:
    """Both answers of every row, to the last bit, ranked by their rewards."""
    for row in service.crossing + service.grid[:4]:
        body = service.outcomes(row)
        found = {json.dumps(o["decision"]): without_series(o["metrics"]) for o in body["outcomes"]}
        stored = {json.dumps(o["decision"]): without_series(o["metrics"]) for o in row["outcomes"]}
        assert found == stored
        first, second = body["outcomes"]
        assert body["best"] == first["decision"]
        assert first["regret"] == 0 <= second["regret"] == first["reward"] - second["reward"]
        assert body["restore"] == row["restore"]


def without_series(metrics: Json) -> Json:
    """Datasets and answers need not hold it."""
    return {name: value for name, value in metrics.items() if name != "series"}


@pytest.mark.parametrize("kind", ["phase", "cycle", "plan"])
def test_other_kinds_are_enumerated_and_scored_alike(service: Service, kind: str) -> None:
    """Every outcome is what scoring that decision gives; some decisions differ in effect."""
    row = service.crossing[0]
    body = service.outcomes(row, kind=kind)
    assert {o["status"] for o in body["outcomes"]} == {"scored"}
    assert len({o["reward"] for o in body["outcomes"]}) > 1
    assert [o["rank"] for o in body["outcomes"]] == sorted(o["rank"] for o in body["outcomes"])
    where = {"state_id": row["state_id"], "tls_id": row["tls_id"]}
    results = service.score([where | {"decision": o["decision"]} for o in body["outcomes"]])
    assert [r["reward"] for r in results] == [o["reward"] for o in body["outcomes"]]
    assert all(r["cached"] for r in results)


def test_series_is_what_the_queue_is_the_mean_of(service: Service) -> None:
    """One number a second of the horizon."""
    items, _ = items_of(service.crossing[:2])
    for result in service.score(items, series=True):
        metrics = result["metrics"]
        assert len(metrics["series"]) == HORIZON_S
        assert sum(metrics["series"]) / HORIZON_S == metrics["queue_veh"]
        assert max(metrics["series"]) == metrics["queue_veh_max"]


def test_named_metrics_are_those_of_a_full_answer(service: Service) -> None:
    """Under a reward that needs others; whoever asks for all of them afterwards gets all."""
    items, _ = items_of(service.crossing[:2])
    terms: Json = {"name": "sum", "terms": {"pressure": 1.0, "speed": 0.5}, "horizon_s": 31}
    body = {"items": items, "reward": terms, "metrics": ["throughput_veh", "wait_s"]}
    answer = httpx.post(f"{service.url}/v1/score", json=body, timeout=130).raise_for_status()
    named, full = answer.json()["results"], service.score(items, **terms)
    assert answer.json()["counts"]["rollouts"] == len(items)
    for some, whole in zip(named, full, strict=True):
        assert some["reward"] == whole["reward"]
        assert whole["metrics"].keys() == Metrics.model_fields.keys() - {"custom"}
        assert some["metrics"] == {
            name: whole["metrics"][name] for name in ("wait_s", "throughput_veh")
        }
    assert all(result["cached"] for result in full)


def test_decisions_at_several_signals_act_together(service: Service) -> None:
    """Watched together, whatever order they are given in; one alone is the plain decision."""
    by_state: dict[str, list[str]] = {}
    for row in service.grid:
        by_state.setdefault(row["state_id"], []).append(row["tls_id"])
    state_id, tls_ids = max(by_state.items(), key=lambda pair: len(pair[1]))
    assert len(tls_ids) > 1
    items = [
        {"state_id": state_id, "decisions": dict.fromkeys(tls_ids, YES)},
        {"state_id": state_id, "decisions": dict.fromkeys(reversed(tls_ids), NO)},
        {"state_id": state_id, "decisions": dict.fromkeys(tls_ids, NO)},
        {"state_id": state_id, "decisions": {tls_ids[0]: NO}},
        {"state_id": state_id, "tls_id": tls_ids[0], "decision": NO},
    ]
    together, backwards, ended, alone, plain = service.score(items)
    assert {together["status"], ended["status"]} == {"scored"}
    assert set(together["decisions"]) == set(tls_ids)
    assert together["metrics"] != ended["metrics"]
    assert (backwards["reward"], alone["reward"]) == (ended["reward"], plain["reward"])
    for result in (together, ended):
        metrics = result["metrics"]
        assert plain["metrics"]["throughput_veh"] <= metrics["throughput_veh"]
        assert metrics["queue_veh"] <= metrics["network_queue_veh"]


def test_seeds_differ_and_repeat(
    service: Service, datasets: tuple[Path, Path], tmp_path: Path
) -> None:
    """Each seed is another continuation, and the same one in a service that remembers nothing."""
    items, _ = items_of(service.crossing[:2])
    results = service.score(items, name="queue", seeds=[1, 2, 3])
    for result in results:
        rewards = [one["reward"] for one in result["seeds"]]
        assert [one["seed"] for one in result["seeds"]] == [1, 2, 3]
        assert len(set(rewards)) == 3
        assert result["reward"] == pytest.approx(sum(rewards) / 3, abs=1e-12)
        assert result["metrics"]["queue_veh"] == pytest.approx(-result["reward"], abs=1e-12)
        assert result["reward_stderr"] > 0
    with served(*datasets, data_dir=tmp_path / "fresh") as url:
        again = Service(url, [], []).score(items, name="queue", seeds=[1, 2, 3])
    assert [(r["seeds"], r["cached"]) for r in again] == [(r["seeds"], False) for r in results]


@pytest.mark.parametrize("follow_up", ["max_pressure", "greedy"])
def test_follow_up_takes_over_after_the_decision(service: Service, follow_up: str) -> None:
    """Other traffic than under the program, somewhere; the reference of the gain stays."""
    row = service.crossing[0]
    program, followed = (service.outcomes(row, follow_up=who) for who in ("program", follow_up))
    assert program["reference"] == followed["reference"]
    assert by_decision(program) != by_decision(followed)


def by_decision(body: Json) -> dict[str, Json]:
    """The metrics of each decision."""
    return {json.dumps(o["decision"]): o["metrics"] for o in body["outcomes"]}


def test_outcomes_from_the_command_line(service: Service) -> None:
    """The same answer, as JSON and as a table."""
    row = service.crossing[0]
    command = [*GREENFORK, "outcomes", "--url", service.url, row["state_id"]]
    as_json = subprocess.run([*command, "--json"], capture_output=True, check=True, text=True)
    assert json.loads(as_json.stdout)["best"] == service.outcomes(row)["best"]
    table = subprocess.run(command, capture_output=True, check=True, text=True)
    assert "regret" in table.stdout
    assert "no intervention" in table.stdout
