"""Nobody fills the disk: what uploads and jobs take is counted, bounded, and given back."""

import base64
import json
import random
from pathlib import Path
from typing import Any

import pytest

from reward_server.storage.disk import Disk
from reward_server.uploads.quota import UploadLimits, UploadQuota
from shared.errors import StorageFull
from shared.wire.scoring import ScoreItem
from tests.unit.reward_server.conftest import OpenGateway
from tests.unit.reward_server.world import GREEN

_LINES = {"Content-Type": "application/x-ndjson"}


def _disk(free: int = 10**9) -> Disk:
    return Disk(Path("/nowhere"), 1000, lambda folder: free)


def _quota(folder: Path, max_bytes: int = 1000, max_states: int = 4) -> UploadQuota:
    return UploadQuota(folder, UploadLimits(max_bytes, max_states), _disk())


def _numbers(quota: UploadQuota) -> dict[str, float]:
    return {m.name: m.samples[0].value for m in quota.collect()}


def test_caller_gets_half_and_all_get_the_whole(tmp_path: Path) -> None:
    """A caller that has taken its half is refused; others are not."""
    quota = _quota(tmp_path)
    quota.add("ann", "town-0123456789ab", 500)
    with pytest.raises(StorageFull) as caught:
        quota.check("ann", 1)
    assert caught.value.code == "too_many_upload_bytes"
    quota.check("bob", 500)
    quota.add("bob", "city-0123456789ab", 400)
    with pytest.raises(StorageFull):
        quota.check("eve", 101)


def test_states_are_counted(tmp_path: Path) -> None:
    """However small they are."""
    quota = _quota(tmp_path)
    for number in range(2):
        quota.add("ann", f"town@{number}-0123456789ab", 1)
    with pytest.raises(StorageFull) as caught:
        quota.check("ann", 1, states=1)
    assert caught.value.code == "too_many_states"
    assert _numbers(quota)["greenfork_uploaded_states"] == 2
    assert _numbers(quota)["greenfork_uploaded_states_limit"] == 4


def test_what_was_removed_counts_no_more(tmp_path: Path) -> None:
    """And what is there counts after a restart."""
    quota = _quota(tmp_path)
    for name in ("town-0123456789ab", "gone-0123456789ab"):
        quota.add("ann", name, 400)
    (tmp_path / "town-0123456789ab").mkdir()
    (tmp_path / "town-0123456789ab" / "manifest.json").touch()
    again = _quota(tmp_path)
    again.count()
    assert _numbers(again)["greenfork_upload_bytes"] == 400
    again.check("ann", 100)


def test_room_is_left_to_the_ledger() -> None:
    """On a disk that is nearly full nothing is taken in."""
    _disk(free=1500).check(500)
    with pytest.raises(StorageFull) as caught:
        _disk(free=1500).check(501)
    assert caught.value.code == "disk_full"
    assert _disk(free=10).free_bytes == 0


def _job(completion: str) -> str:
    item: dict[str, Any] = {"state_id": GREEN, "tls_id": "C", "decision_kind": "extend"}
    return json.dumps(item | {"completion": completion}) + "\n"


async def test_jobs_of_a_caller_have_a_quota(open_gateway: OpenGateway) -> None:
    """Finished ones count too; a deleted job makes room, and its bytes go back to the disk."""
    gateway = await open_gateway(max_job_storage_mb=1)
    noise = random.Random(7)
    texts = [base64.b64encode(noise.randbytes(187_000)).decode() for _ in range(4)]
    big = "".join(_job(text) for text in texts)
    first = await gateway.http.post("/v1/jobs", content=big, headers=_LINES)
    assert first.status_code == 202, first.text
    second = await gateway.http.post("/v1/jobs", content=big, headers=_LINES)
    assert (second.status_code, second.json()["code"]) == (507, "too_many_job_bytes")
    await gateway.http.delete(f"/v1/jobs/{first.json()['id']}")
    assert (await gateway.http.post("/v1/jobs", content=big, headers=_LINES)).status_code == 202
    await gateway.services.jobs.tidy()
    assert "greenfork_job_bytes 0.0" not in (await gateway.http.get("/metrics")).text
    jobs = (await gateway.http.get("/v1/jobs")).json()["jobs"]
    await gateway.http.delete(f"/v1/jobs/{jobs[0]['id']}")
    async with gateway.services.database.read() as connection:
        free = await connection.exec_driver_sql("PRAGMA freelist_count")
        assert free.scalar() == 0


@pytest.mark.parametrize("item_id", ["x" * 201, 2**63, -(2**63) - 1])
def test_ids_are_bounded(item_id: str | int) -> None:
    """They are stored, and told, as often as there are items."""
    text = json.dumps(
        {
            "id": item_id,
            "state_id": "s",
            "tls_id": "C",
            "decision": {"kind": "extend", "extend": True},
        }
    )
    with pytest.raises(ValueError, match="id"):
        ScoreItem.model_validate_json(text)


async def test_files_are_their_owners_alone(open_gateway: OpenGateway, tmp_path: Path) -> None:
    """The ledger holds what callers asked, and the digests of keys."""
    await open_gateway()
    assert (tmp_path / "ledger.sqlite").stat().st_mode & 0o077 == 0
