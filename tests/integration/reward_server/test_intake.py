"""The look at an upload, without a gateway: how long it may take, and how much memory."""

import time
import uuid
from pathlib import Path

import pytest
import structlog

from reward_server.uploads.inspection import look_at
from shared.errors import InvalidRequest
from sim_workers.uploads.inspector import IntakeRequest
from tests.integration.reward_server.serving import MARK, processes_of
from tests.integration.reward_server.upload_files import crossing_files, zip_of


def make_request(tmp_path: Path, **changes: object) -> IntakeRequest:
    """A request to look at a small scenario, without a gateway."""
    upload, folder = tmp_path / "upload", tmp_path / "out"
    upload.write_bytes(zip_of(crossing_files()))
    folder.mkdir()
    return IntakeRequest.model_validate({"upload": upload, "folder": folder} | changes)


def ends_soon(mark: str) -> bool:
    """Whether all processes with a mark end within ten seconds."""
    for _ in range(200):
        if not processes_of(mark):
            return True
        time.sleep(0.05)
    return False


@pytest.mark.parametrize("timeout_s", [0.05, 0.4])
async def test_intake_that_takes_too_long_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, timeout_s: float
) -> None:
    """With every process that it has started."""
    mark = uuid.uuid4().hex
    monkeypatch.setenv(MARK, mark)
    with pytest.raises(InvalidRequest) as refused:
        await look_at(make_request(tmp_path), timeout_s)
    assert refused.value.code == "too_much_work"
    assert ends_soon(mark)


async def test_intake_has_little_memory(tmp_path: Path) -> None:
    """What needs more is refused, and the gateway lives on."""
    request = make_request(tmp_path, max_memory_bytes=8 << 20)
    with structlog.testing.capture_logs(), pytest.raises(InvalidRequest) as refused:
        await look_at(request, 60)
    assert refused.value.code in ("too_much_work", "too_large", "sumo_refused")
