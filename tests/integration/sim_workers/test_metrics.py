"""Metrics equal what libsumo's own calls give when they are written out again, unforked."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sim_workers.messages import Open, RolledOut, Rollout
from sim_workers.processes import Nursery
from sim_workers.scenarios import CONFIG_NAME, RESTORE_CONFIG_NAME
from tests.integration.conftest import OWN, SCENARIOS, read_rows

ROOT = Path(__file__).parents[3]
_LIMIT_S = 60.0


def _ours(request: Open, rollout: Rollout) -> dict[str, Any]:
    with Nursery() as nursery, nursery.open(request) as holder:
        return holder.call(rollout, RolledOut, _LIMIT_S).metrics.model_dump(mode="json")


def _recounted(request: Open, rollout: Rollout) -> dict[str, Any]:
    remaining_s = rollout.phase_remaining_s
    arguments = [
        *(request.config, str(request.seed), request.state_file or "-", rollout.tls_id),
        *("-" if remaining_s is None else str(remaining_s), str(rollout.horizon_s)),
    ]
    command = [sys.executable, "-m", f"{__package__}.recount", *arguments]
    run = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    counted: dict[str, Any] = json.loads(run.stdout.splitlines()[-1])
    return counted


def _rollout(tls_id: str, remaining_s: float | None, horizon_s: int) -> Rollout:
    return Rollout(
        tls_id=tls_id, phase_remaining_s=remaining_s, horizon_s=horizon_s, limit_s=_LIMIT_S
    )


@pytest.mark.parametrize("remaining_s", [None, 0, 5])
@pytest.mark.parametrize("scenario", OWN)
def test_metrics_equal_a_recount(
    scenario: str, remaining_s: float | None, dataset_of: Callable[[str], Path]
) -> None:
    """From the same state every metric and the whole series are the same numbers."""
    folder = dataset_of(scenario)
    row = max(read_rows(folder), key=lambda row: row["outcomes"][0]["metrics"]["queue_veh"])
    request = Open(
        config=str(folder / "scenario" / RESTORE_CONFIG_NAME),
        seed=row["seed"],
        state_file=str(folder / "states" / f"{row['state_id']}.xml"),
    )
    rollout = _rollout(row["tls_id"], remaining_s, 60)
    ours = _ours(request, rollout)
    assert ours == _recounted(request, rollout)
    assert ours["network_queue_veh"] >= ours["queue_veh"] > 0


def test_vehicles_that_stop_are_counted_as_sumo_does(tmp_path: Path) -> None:
    """Standing in the lane is queueing; parked beside it, or off the network, is not."""
    (tmp_path / "network.net.xml").write_bytes(
        (SCENARIOS / "crossing" / "crossing.net.xml").read_bytes()
    )
    (tmp_path / "town.rou.xml").write_text(
        """<routes><route id="r" edges="n_in w_out"/>
        <vehicle id="stands" route="r" depart="0">
            <stop lane="n_in_0" endPos="200" duration="60"/></vehicle>
        <vehicle id="parks" route="r" depart="1" departLane="0">
            <stop lane="n_in_0" endPos="100" duration="60" parking="true"/></vehicle>
        <vehicle id="follows" route="r" depart="2" departLane="0"/>
        <vehicle id="overtakes" route="r" depart="3" departLane="1"/></routes>"""
    )
    config = tmp_path / CONFIG_NAME
    config.write_text(
        '<configuration><net-file value="network.net.xml"/><route-files value="town.rou.xml"/>'
        '<time-to-teleport value="25"/></configuration>'
    )
    request, rollout = Open(config=str(config), seed=1), _rollout("c", None, 120)
    ours = _ours(request, rollout)
    assert ours == _recounted(request, rollout)
    assert ours["queue_veh_max"] == 2
