"""Files that appear whole or not at all."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.files import locked, sync_tree, write_atomically, written_atomically


@pytest.mark.parametrize("with_draft", [True, False])
def test_files_appear_whole(tmp_path: Path, with_draft: bool) -> None:
    """What was there before is replaced, in its mode, and no draft is left."""
    path = tmp_path / "file"
    draft = tmp_path / "draft" if with_draft else None
    write_atomically(path, b"one", draft)
    path.chmod(0o640)
    write_atomically(path, [b"t", b"wo"], draft)
    assert path.read_bytes() == b"two"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert list(tmp_path.iterdir()) == [path]


def test_what_fails_half_way_leaves_the_old_file(tmp_path: Path) -> None:
    """And nothing beside it."""
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def parts() -> Iterator[bytes]:
        yield b"half"
        raise RuntimeError

    with pytest.raises(RuntimeError):
        write_atomically(path, parts())
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_content_is_on_disk_before_the_name_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """File, then rename, then folder: in any other order a power cut can leave an empty file."""
    done: list[str] = []
    fsync, replace = os.fsync, Path.replace

    def noted_fsync(descriptor: int) -> None:
        done.append("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")
        fsync(descriptor)

    def noted_replace(path: Path, target: Path) -> Path:
        done.append("rename")
        return replace(path, target)

    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(Path, "replace", noted_replace)
    write_atomically(tmp_path / "file", b"content")
    assert done == ["file", "rename", "folder"]
    done.clear()
    (tmp_path / "sub").mkdir()
    sync_tree(tmp_path)
    assert sorted(done) == ["file", "folder", "folder"]


def test_folder_that_cannot_be_written(tmp_path: Path) -> None:
    """The system's own error says why."""
    with pytest.raises(FileNotFoundError), written_atomically(tmp_path / "none" / "file"):
        pass


def test_one_at_a_time_has_the_lock(tmp_path: Path) -> None:
    """It is free again when it is given back."""
    with locked(tmp_path), pytest.raises(BlockingIOError), locked(tmp_path, waits=False):
        pass
    with locked(tmp_path, waits=False):
        pass
