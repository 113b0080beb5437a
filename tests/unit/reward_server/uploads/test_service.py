"""The upload service; the inspector is a fake."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from reward_server.storage.disk import Disk
from reward_server.uploads.quota import UploadLimits, UploadQuota
from reward_server.uploads.service import StateOrigin, UploadService
from shared.dataset import DatasetLayout
from shared.errors import StorageFull
from sim_workers.uploads.inspector import IntakeAnswer, IntakeRequest
from tests.unit.reward_server.world import GREEN, make_manifest, make_state, make_store

_OTHER = "crossing-222222222222"
_ORIGIN = StateOrigin(_OTHER, 1, 1.0)
_LONGER = f"{_OTHER}@{GREEN.rpartition('@')[2]}"


async def _body() -> AsyncIterator[bytes]:
    yield b"a state"


def _quota(folder: Path, max_states: int = 10) -> UploadQuota:
    disk = Disk(folder, 0, lambda where: 10**9)
    return UploadQuota(folder, UploadLimits(10**6, max_states), disk)


@pytest.fixture
def uploads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A scenario that has the name of the one that is served, and a state of the same content."""
    manifest = make_manifest(scenario_id=_OTHER)
    layout = DatasetLayout(tmp_path / _OTHER)
    layout.states.mkdir(parents=True)
    layout.index.touch()
    layout.manifest.write_text(manifest.model_dump_json())
    monkeypatch.setattr("reward_server.uploads.service.look_at", _look_at)
    return tmp_path


async def _look_at(request: IntakeRequest, _timeout_s: float) -> IntakeAnswer:
    change = {"scenario_id": _OTHER, "restore": "unverified"}
    record = make_state(GREEN).record.model_copy(update=change)
    (request.folder / f"{record.state_id}.xml").write_text("a state")
    return IntakeAnswer(record=record)


async def test_nobody_takes_an_id_from_another_scenario(uploads: Path) -> None:
    """The same file under another scenario is another state, now and the next time."""
    service = UploadService(uploads, make_store(GREEN), _quota(uploads))
    view, created = await service.take_state(_body(), _ORIGIN, "ann")
    assert (view.state_id, view.scenario_id, created) == (_LONGER, _OTHER, True)
    assert DatasetLayout(uploads / _OTHER).state_file(_LONGER).is_file()
    view, created = await service.take_state(_body(), _ORIGIN, "bob")
    assert (view.state_id, created) == (_LONGER, False)


async def test_state_that_does_not_fit_is_refused(uploads: Path) -> None:
    """And leaves nothing behind; the caller of the first has its half."""
    quota = _quota(uploads, max_states=2)
    service = UploadService(uploads, make_store(GREEN), quota)
    await service.take_state(_body(), _ORIGIN, "ann")
    with pytest.raises(StorageFull):
        await service.take_state(_body(), _ORIGIN, "ann")
    service.sweep()
    with pytest.raises(StorageFull):
        await service.take_state(_body(), _ORIGIN, "ann")
    assert list((uploads / ".incoming").iterdir()) == []
