"""Uploads on disk: whole or not there, whoever writes, and found by whoever asks."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from shared.dataset import DatasetLayout
from shared.errors import UnknownState
from shared.wire.states import StateRecord
from sim_workers.states.store import StateStore, read_manifest, read_states
from sim_workers.uploads.storage import place_scenario, place_state
from sim_workers.uploads.uploaded_states import UploadedStates
from tests.unit.sim_workers.handmade_datasets import SCENARIO_ID, write_dataset


class Clock:
    """Stands still until it is moved, seconds."""

    now_s = 0.0

    def __call__(self) -> float:
        """The time."""
        return self.now_s


@pytest.fixture
def uploads(tmp_path: Path) -> Path:
    """A folder of uploads."""
    (tmp_path / "uploads").mkdir()
    return tmp_path / "uploads"


def upload(uploads: Path, *times_s: int) -> list[str]:
    """Uploads a scenario with states at these times."""
    draft = uploads.parent / f"draft-{times_s}"
    ids = write_dataset(draft, times_s)
    assert place_scenario(draft, uploads / SCENARIO_ID)
    return ids


def make_record(root: Path, time_s: int = 900, seed: int = 4) -> StateRecord:
    """The record of a state that is not in a folder yet."""
    (known, *_) = read_states(root)
    changes = {"state_id": f"town@{time_s}-{'a' * 12}", "time_s": time_s, "seed": seed}
    return known.record.model_copy(update=changes | {"run": f"seed{seed}"})


def make_draft(uploads: Path, name: str = "draft.xml") -> Path:
    """The file of that state."""
    path = uploads.parent / name
    path.write_text("<snapshot/>")
    return path


def test_scenario_is_placed_once(uploads: Path) -> None:
    """The second one of two equal uploads finds the first one's; nothing is mixed."""
    (state_id,) = upload(uploads, 10)
    write_dataset(uploads.parent / "again", (20,))
    assert not place_scenario(uploads.parent / "again", uploads / SCENARIO_ID)
    assert [s.record.state_id for s in read_states(uploads / SCENARIO_ID)] == [state_id]


def test_state_is_placed_with_its_run(uploads: Path) -> None:
    """The manifest names each seed that there are states of, or they could not be served."""
    upload(uploads, 10)
    root = uploads / SCENARIO_ID
    record = make_record(root)
    assert place_state(make_draft(uploads), record, root) == record
    placed = next(s for s in read_states(root) if s.record.state_id == record.state_id)
    assert DatasetLayout(root).state_file(record.state_id).read_text() == "<snapshot/>"
    assert placed.run_key()
    manifest = read_manifest(root)
    assert [run.run for run in manifest.simulations] == ["seed1", "seed4"]
    assert manifest.build.states == 3


def test_state_is_placed_once(uploads: Path) -> None:
    """Whoever comes second is told what the first one said."""
    upload(uploads, 10)
    root = uploads / SCENARIO_ID
    first, second = make_record(root, seed=4), make_record(root, seed=5)
    place_state(make_draft(uploads), first, root)
    assert place_state(make_draft(uploads), second, root) == first
    assert len(read_states(root)) == 2


def test_states_that_come_together_are_all_placed(uploads: Path) -> None:
    """None overwrites the index of another."""
    upload(uploads, 10)
    root = uploads / SCENARIO_ID
    records = [make_record(root, time_s=100 + n, seed=n) for n in range(20)]
    drafts = [make_draft(uploads, f"draft{n}.xml") for n in range(20)]
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(place_state, drafts, records, [root] * 20))
    placed = {state.record.state_id for state in read_states(root)}
    assert {record.state_id for record in records} < placed
    assert len(read_manifest(root).simulations) == 20


@pytest.mark.parametrize("step", range(8))
def test_kill_at_any_moment_leaves_nothing_half(
    uploads: Path, step: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever was done of placing a state, the folder can be read, and placing be repeated."""
    upload(uploads, 10)
    root, done = uploads / SCENARIO_ID, 0
    record = make_record(root)

    def die(self: Path, target: Path) -> Path:
        nonlocal done
        done += 1
        if done > step // 2 and step % 2 == 0:
            raise KeyboardInterrupt
        moved = replace(self, target)
        if done > step // 2:
            raise KeyboardInterrupt
        return moved

    replace = Path.replace
    for name in ("rename", "replace"):
        monkeypatch.setattr(Path, name, die)
    try:
        place_state(make_draft(uploads), record, root)
    except KeyboardInterrupt:
        pass
    else:
        assert step >= 6, "it moves three files"
    monkeypatch.undo()
    for state in read_states(root):
        assert DatasetLayout(root).state_file(state.record.state_id).is_file()
        assert state.run_key()
    assert place_state(make_draft(uploads), record, root) == record
    assert record.state_id in [state.record.state_id for state in read_states(root)]


def test_new_states_are_found_when_they_are_asked_for(uploads: Path) -> None:
    """Another gateway that shares the disk may have put them there."""
    clock = Clock()
    store = StateStore.open([], UploadedStates(uploads, clock=clock).fresh)
    (state_id,) = upload(uploads, 10)
    store.look_again()
    with pytest.raises(UnknownState):
        store.get(state_id)
    clock.now_s = 2
    store.look_again()
    assert store.get(state_id).record.state_id == state_id
    root = uploads / SCENARIO_ID
    record = make_record(root)
    place_state(make_draft(uploads), record, root)
    clock.now_s = 4
    store.look_again()
    assert store.get(record.state_id).record == record
    assert len(store) == 2


def test_disk_is_not_looked_at_for_every_unknown_id(
    uploads: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody who asks for what is not there costs nothing."""
    looks = 0
    glob = Path.glob

    def counted(self: Path, pattern: str) -> object:
        nonlocal looks
        looks += 1
        return glob(self, pattern)

    monkeypatch.setattr(Path, "glob", counted)
    clock = Clock()
    store = StateStore([], UploadedStates(uploads, clock=clock).fresh)
    for _ in range(100):
        store.look_again()
        assert store.find("town@1-ffffffffffff") is None
    assert looks == 1
    clock.now_s = 2
    store.look_again()
    assert looks == 2


def test_dataset_wins_over_an_upload(uploads: Path, tmp_path: Path) -> None:
    """What somebody uploads changes no state that is served, and keeps no service from starting."""
    (state_id,) = upload(uploads, 10)
    manifest = DatasetLayout(uploads / SCENARIO_ID).manifest
    manifest.write_text(manifest.read_text().replace('"max_green_s":60', '"max_green_s":90'))
    write_dataset(tmp_path / "dataset", (10,))
    store = StateStore.open([tmp_path / "dataset"], UploadedStates(uploads).fresh)
    assert store.get(state_id).layout.root == tmp_path / "dataset"
    assert len(store) == 1


@pytest.mark.parametrize("file", ["manifest.json", "states/index.jsonl"])
def test_damaged_upload_is_passed_over(uploads: Path, file: str, tmp_path: Path) -> None:
    """With a line in the log; the others are served."""
    upload(uploads, 10)
    (uploads / SCENARIO_ID / file).write_text("{")
    with capture_logs() as logs:
        assert UploadedStates(uploads).fresh() == []
    assert [log["event"] for log in logs] == ["upload_unreadable"]


def test_record_that_leads_elsewhere_is_passed_over(uploads: Path) -> None:
    """An id is part of a path, and another scenario's state is served from that one's folder."""
    upload(uploads, 10)
    root = uploads / SCENARIO_ID
    index = DatasetLayout(root).index
    (known,) = [StateRecord.model_validate_json(line) for line in index.read_text().splitlines()]
    changes = [{"state_id": "../../etc/x@1-aaaaaaaaaaaa"}, {"scenario_id": "town-111111111111"}]
    evil = [known.model_copy(update=change) for change in changes]
    index.write_text("".join(f"{each.model_dump_json()}\n" for each in evil))
    assert UploadedStates(uploads).fresh() == []


def test_what_comes_in_is_not_served(uploads: Path) -> None:
    """Before it is in its place."""
    write_dataset(uploads / ".incoming")
    assert UploadedStates(uploads).fresh() == []
    assert UploadedStates(uploads / "nowhere").fresh() == []
