"""``greenfork ledger`` on databases of both kinds, while a gateway has them open."""

import asyncio
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pyarrow.parquet import ParquetFile, read_table

from greenfork.main import app
from reward_server.storage import export
from reward_server.storage.database import Database
from reward_server.storage.ledger import Ledger
from reward_server.storage.urls import parse_database_url
from shared.decisions import Extend
from shared.rewards import Metrics
from sim_workers.engine.messages import Rollout, SignalDecision
from sim_workers.pool.rollout import decisions_text
from tests.unit.reward_server.world import Recorded, make_metrics, record_all

STATES = ("crossing@300-b9c873928f38", "crossing@360-aaaaaaaaaaaa", "Crossing@1-bbbbbbbbbbbb")
AWKWARD = Metrics(
    queue_veh=0.1 + 0.2,
    queue_veh_max=3.0,
    wait_s=1e-300,
    speed_mps=None,
    throughput_veh=4,
    pressure_veh=-0.5,
    network_queue_veh=2.0,
    series=(0, 1, 2),
)


YES = SignalDecision(
    tls_id="C", decision=Extend(extend=True), elapsed_s=12, min_green_s=5, max_green_s=60
)


def entries(number: int) -> list[Recorded]:
    """Outcomes of several states."""
    made = []
    for i in range(number):
        rollout = Rollout(
            state_id=STATES[i % 3],
            signal_decisions=(YES,) if i else (),
            observe=("C",),
            horizon_s=60,
        )
        metrics = make_metrics(i / 7) if i else AWKWARD
        if i == 1:
            metrics = metrics.model_copy(update={"custom": {"co2_mg": 0.1, "stops": 3.0}})
        made.append((f"{i:06d}", rollout, metrics, f"sumo 1.{28 + i % 2}.0"))
    return made


async def greenfork_beside_a_gateway(
    url: str, recorded: Sequence[Recorded], *arguments: str
) -> int | str | None:
    """Runs a command on a ledger that is open; gives its exit status."""
    database = Database(parse_database_url(url))
    await database.start()
    ledger = Ledger(database, clock=lambda: 1_750_000_000.25)
    await record_all(ledger, recorded)
    try:
        return await asyncio.to_thread(greenfork, *arguments, "--database-url", url)
    finally:
        await ledger.close()
        await database.close()


def is_alone(output: Path) -> bool:
    """Whether nothing half-written is beside a file."""
    return list(output.parent.glob(f"*{output.name}*")) == [output]


def greenfork(*arguments: str) -> int | str | None:
    """Runs a command; gives its exit status."""
    with pytest.raises(SystemExit) as ended:
        app(arguments)
    return ended.value.code


async def test_export_is_the_ledger_row_for_row(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the order of the keys, to the last bit, a group of rows at a time."""
    monkeypatch.setattr(export, "_ROWS_A_GROUP", 100)
    recorded, output = entries(250), tmp_path / "out.parquet"
    status = await greenfork_beside_a_gateway(
        database_url, recorded[::-1], "ledger", "export", "--output", str(output)
    )
    assert status == 0
    assert is_alone(output)
    assert ParquetFile(output).num_row_groups == 3
    for row, entry in zip(read_table(output).to_pylist(), recorded, strict=True):
        key, rollout, shown, simulator = entry
        metrics = {name: getattr(shown, name) for name in Metrics.model_fields}
        assert row.pop("created_at") == datetime.fromtimestamp(1_750_000_000.25, UTC)
        assert {name: row.pop(name) for name in metrics} == metrics | {
            "series": None if shown.series is None else list(shown.series),
            "custom": None if shown.custom is None else list(shown.custom.items()),
        }
        assert row == {
            "key": key,
            "state_id": rollout.state_id,
            "tls_id": "C",
            "decision": decisions_text(rollout),
            "horizon_s": 60,
            "simulator": simulator,
        }


@pytest.mark.parametrize(
    ("options", "states"),
    [
        (["--scenario", "crossing"], set(STATES[:2])),
        (["--state", STATES[1]], {STATES[1]}),
        (["--state", STATES[1], "--scenario", "Crossing"], set()),
        (["--scenario", "cross"], set()),
    ],
)
async def test_export_of_a_part(
    database_url: str, tmp_path: Path, options: list[str], states: set[str]
) -> None:
    """Capitals count, and a name is a whole name."""
    output = tmp_path / "out.parquet"
    arguments = ["ledger", "export", "--output", str(output), *options]
    assert await greenfork_beside_a_gateway(database_url, entries(30), *arguments) == 0
    found = read_table(output).column("state_id").to_pylist()
    assert (set(found), len(found)) == (states, 10 * len(states))


async def test_stats_count(database_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    """By simulator and by scenario, for machines and for people."""
    arguments = ["ledger", "stats"]
    assert await greenfork_beside_a_gateway(database_url, entries(10), *arguments, "--json") == 0
    counted: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert counted.pop("size_bytes") >= 8192
    assert counted == {
        "outcomes": 10,
        "states": 3,
        "first_at": "2025-06-15T15:06:40.250000+00:00",
        "last_at": "2025-06-15T15:06:40.250000+00:00",
        "by_simulator": {"sumo 1.28.0": 5, "sumo 1.29.0": 5},
        "by_scenario": {"crossing": 7, "Crossing": 3},
    }
    assert greenfork(*arguments, "--database-url", database_url) == 0
    assert "sumo 1.29.0" in capsys.readouterr().out


async def test_stats_of_an_empty_ledger(
    database_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing is counted, and there is no first one."""
    assert await greenfork_beside_a_gateway(database_url, [], "ledger", "stats", "--json") == 0
    counted = json.loads(capsys.readouterr().out)
    assert (counted["outcomes"], counted["first_at"], counted["by_scenario"]) == (0, None, {})


def test_where_no_ledger_is_none_is_made(
    database_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """And the message says how to name another."""
    before = sorted(tmp_path.iterdir())
    output = str(tmp_path / "out.parquet")
    for arguments in (["stats"], ["export", "--output", output]):
        assert greenfork("ledger", *arguments, "--database-url", database_url) == 2
        assert "pass --data-dir or --database-url" in capsys.readouterr().err
    assert sorted(tmp_path.iterdir()) == before


async def test_file_is_overwritten_only_if_asked_for_and_when_complete(
    database_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A damaged outcome ends the export and leaves the old file."""
    output = tmp_path / "out.parquet"
    output.write_text("precious")
    arguments = ["ledger", "export", "--output", str(output), "--database-url", database_url]
    wrong = AWKWARD.model_copy(update={"queue_veh": None})
    damaged = ("zz", entries(1)[0][1], wrong, "sumo")
    assert await greenfork_beside_a_gateway(database_url, entries(3), *arguments) == 2
    assert "--force" in capsys.readouterr().err
    recorded = [*entries(3), damaged]
    assert await greenfork_beside_a_gateway(database_url, recorded, *arguments, "--force") == 1
    assert "damaged" in capsys.readouterr().err
    assert output.read_text() == "precious"
    assert is_alone(output)
    other = [*arguments, "--force", "--state", STATES[1]]
    assert await greenfork_beside_a_gateway(database_url, [], *other) == 0
    assert read_table(output).num_rows == 1
