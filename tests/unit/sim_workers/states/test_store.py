"""The store finds states, and refuses what is not what it says it is."""

from pathlib import Path

import pytest

from shared.dataset import Action, DatasetLayout
from shared.errors import DatasetError, StateFileError, UnknownSignal, UnknownState
from sim_workers.states.store import StateStore, find_datasets, read_manifest
from tests.unit.sim_workers.handmade_datasets import (
    replace_state,
    state_content,
    write_actions,
    write_dataset,
    write_replayed,
)


def test_states_are_found_by_their_ids(tmp_path: Path) -> None:
    """Every state of the index is there, with its record, its content and its definitions."""
    ids = write_dataset(tmp_path)
    store = StateStore.open([tmp_path])
    assert [state.record.state_id for state in store] == ids
    assert len(store) == 2
    assert store.get(ids[0]).read() == state_content(600)
    view = store.get(ids[0]).view()
    assert view.time_s == 600
    assert view.definitions["c"].incoming_lanes == ("n", "e")


def test_folder_of_datasets_is_opened_as_a_whole(tmp_path: Path) -> None:
    """Each dataset below it is found, in the order of names; other folders do no harm."""
    (tmp_path / "notes").mkdir()
    ids = write_dataset(tmp_path / "a", (10,)) + write_dataset(tmp_path / "b", (20,))
    assert find_datasets(tmp_path) == [tmp_path / "a", tmp_path / "b"]
    assert {state.record.state_id for state in StateStore.open([tmp_path])} == set(ids)


def test_the_same_state_in_two_datasets_is_one(tmp_path: Path) -> None:
    """A dataset that is served twice does no harm."""
    ids = write_dataset(tmp_path / "a")
    write_dataset(tmp_path / "b")
    assert [state.record.state_id for state in StateStore.open([tmp_path])] == ids


def test_one_id_with_two_meanings_is_refused(tmp_path: Path) -> None:
    """A request names a state by its id alone, so it must mean one thing."""
    write_dataset(tmp_path / "a")
    write_dataset(tmp_path / "b")
    manifest = DatasetLayout(tmp_path / "b").manifest
    manifest.write_text(manifest.read_text().replace('"max_green_s":60', '"max_green_s":90'))
    with pytest.raises(DatasetError, match="both contain state") as caught:
        StateStore.open([tmp_path])
    assert caught.value.code == "conflicting_state"


def test_unknown_state_is_named(tmp_path: Path) -> None:
    """An id that is not in the store is an error with that id."""
    write_dataset(tmp_path)
    with pytest.raises(UnknownState, match="town@1-ffffffffffff"):
        StateStore.open([tmp_path]).get("town@1-ffffffffffff")


def test_unknown_signal_names_those_there_are(tmp_path: Path) -> None:
    """The message helps to choose."""
    ids = write_dataset(tmp_path)
    state = StateStore.open([tmp_path]).get(ids[0])
    assert state.signal("c").tls_id == "c"
    with pytest.raises(UnknownSignal, match="no signal 'north'; it has c"):
        state.signal("north")


def test_changed_state_file_is_refused(tmp_path: Path) -> None:
    """One byte more and the digest is not that of the id."""
    ids = write_dataset(tmp_path)
    path = DatasetLayout(tmp_path).state_file(ids[0])
    path.write_bytes(path.read_bytes() + b"\n")
    store = StateStore.open([tmp_path])
    with pytest.raises(StateFileError, match="was changed") as caught:
        store.get(ids[0]).read()
    assert caught.value.code == "digest_mismatch"
    assert store.get(ids[1]).read() == state_content(700)


def test_missing_state_file_is_named(tmp_path: Path) -> None:
    """A state whose file is gone is an error when it is read."""
    ids = write_dataset(tmp_path)
    DatasetLayout(tmp_path).state_file(ids[0]).unlink()
    with pytest.raises(StateFileError, match="cannot read") as caught:
        StateStore.open([tmp_path]).get(ids[0]).read()
    assert caught.value.code == "bad_state_file"


def test_state_of_another_sumo_version_is_refused(tmp_path: Path) -> None:
    """A state that is whole but was saved by another SUMO would continue differently."""
    ids = write_dataset(tmp_path)
    old_id = replace_state(tmp_path, ids[0], state_content(600, "1.20.0"))
    with pytest.raises(StateFileError, match=r"1\.20\.0") as caught:
        StateStore.open([tmp_path]).get(old_id).read()
    assert caught.value.code == "state_of_other_version"


def test_folder_that_is_no_dataset_is_refused(tmp_path: Path) -> None:
    """Neither a missing folder, nor a file, nor an empty folder is a dataset."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("{}")
    for name in ("absent", "file", "empty"):
        with pytest.raises(DatasetError, match=name) as caught:
            StateStore.open([tmp_path / name])
        assert caught.value.code == "not_a_dataset"


@pytest.mark.parametrize("content", ["", "{}", "[1, 2]", "not JSON", '{"format": 2}'])
def test_damaged_manifest_is_refused(content: str, tmp_path: Path) -> None:
    """What is no manifest is named."""
    write_dataset(tmp_path)
    DatasetLayout(tmp_path).manifest.write_text(content)
    with pytest.raises(DatasetError, match=r"manifest\.json"):
        read_manifest(tmp_path)


@pytest.mark.parametrize("line", ["", "{}", "half a li", "null"])
def test_damaged_line_of_the_index_is_named_by_its_number(line: str, tmp_path: Path) -> None:
    """The second of three lines is at fault."""
    write_dataset(tmp_path)
    index = DatasetLayout(tmp_path).index
    first, second = index.read_text().splitlines()
    index.write_text(f"{first}\n{line}\n{second}\n")
    with pytest.raises(DatasetError, match=r"index\.jsonl, line 2"):
        StateStore.open([tmp_path])


def test_missing_index_is_refused(tmp_path: Path) -> None:
    """A manifest alone is no dataset."""
    write_dataset(tmp_path)
    DatasetLayout(tmp_path).index.unlink()
    with pytest.raises(DatasetError, match=r"cannot read .*index\.jsonl"):
        StateStore.open([tmp_path])


_ACTIONS = tuple(
    Action(time_s=time_s, tls_id="c", remaining_s=5) for time_s in (0, 595, 600, 650, 695, 700)
)


def _times_s(actions: tuple[Action, ...]) -> list[float]:
    return [action.time_s for action in actions]


def test_a_state_of_untouched_programs_has_no_actions(tmp_path: Path) -> None:
    """There is nothing to repeat, and no file to read."""
    ids = write_dataset(tmp_path)
    assert StateStore.open([tmp_path]).get(ids[0]).actions() == ()


def test_actions_are_those_before_the_state(tmp_path: Path) -> None:
    """What happens at the very moment of the state happens after it."""
    ids = write_dataset(tmp_path)
    write_actions(tmp_path, _ACTIONS)
    store = StateStore.open([tmp_path])
    assert _times_s(store.get(ids[0]).actions()) == [0, 595]
    assert _times_s(store.get(ids[1]).actions()) == [0, 595, 600, 650, 695]
    assert store.get(ids[0]).anchor() is None


def test_replay_from_an_anchor_repeats_what_was_done_since(tmp_path: Path) -> None:
    """The anchor is a state of the same dataset; what was done before it is in its file."""
    ids = write_dataset(tmp_path)
    write_actions(tmp_path, _ACTIONS)
    write_replayed(tmp_path, ids[1], anchor=ids[0])
    state = StateStore.open([tmp_path]).get(ids[1])
    anchor = state.anchor()
    assert anchor is not None
    assert anchor.read() == state_content(600)
    assert _times_s(state.actions(from_s=600)) == [600, 650, 695]


def test_anchor_that_is_not_there_is_named(tmp_path: Path) -> None:
    """A dataset that lost a line of its index cannot bring the state back."""
    ids = write_dataset(tmp_path)
    write_replayed(tmp_path, ids[1], anchor="town@1-ffffffffffff")
    with pytest.raises(DatasetError, match="town@1-ffffffffffff") as caught:
        StateStore.open([tmp_path]).get(ids[1]).anchor()
    assert caught.value.code == "damaged_dataset"


def test_changed_actions_are_refused(tmp_path: Path) -> None:
    """One action less is another run."""
    ids = write_dataset(tmp_path)
    path = write_actions(tmp_path, _ACTIONS)
    path.write_text("".join(path.read_text().splitlines(keepends=True)[1:]))
    with pytest.raises(StateFileError, match="was changed") as caught:
        StateStore.open([tmp_path]).get(ids[0]).actions()
    assert caught.value.code == "digest_mismatch"


def test_missing_actions_are_named(tmp_path: Path) -> None:
    """Without them the run cannot be replayed."""
    ids = write_dataset(tmp_path)
    write_actions(tmp_path, _ACTIONS).unlink()
    with pytest.raises(DatasetError, match=r"seed1\.jsonl"):
        StateStore.open([tmp_path]).get(ids[0]).actions()


def test_run_that_the_manifest_does_not_know_is_named(tmp_path: Path) -> None:
    """A state belongs to a run of its dataset."""
    ids = write_dataset(tmp_path)
    index = DatasetLayout(tmp_path).index
    index.write_text(index.read_text().replace('"run":"seed1"', '"run":"seed2"'))
    with pytest.raises(DatasetError, match="'seed2'") as caught:
        StateStore.open([tmp_path]).get(ids[0]).actions()
    assert caught.value.code == "damaged_dataset"


def test_the_same_state_under_other_demand_is_another(tmp_path: Path) -> None:
    """The demand to come is not in the file, so it would continue differently."""
    write_dataset(tmp_path / "a")
    write_dataset(tmp_path / "b")
    index = DatasetLayout(tmp_path / "b").index
    index.write_text(index.read_text().replace('"scale":1.0', '"scale":1.2'))
    with pytest.raises(DatasetError) as caught:
        StateStore.open([tmp_path])
    assert caught.value.code == "conflicting_state"
