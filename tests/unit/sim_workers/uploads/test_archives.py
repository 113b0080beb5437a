"""Archives that strangers made: what comes out of them, and what never does."""

import gzip
import stat
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import ScenarioError, StateFileError
from sim_workers.states.foreign_states import gunzip
from sim_workers.uploads.archives import ArchiveLimits, check_name, check_unpacked, unpack

Files = list[tuple[str, bytes]]
ZIP_HEADER_BYTES = 30
SMALL = ArchiveLimits(entries=10, file_bytes=10_000, total_bytes=40_000)
HOSTILE_NAMES = [
    "../evil",
    "a/../../evil",
    "a/..",
    "..",
    "/etc/cron.d/evil",
    "//evil",
    "C:/evil",
    "c:evil",
    "..\\evil",
    "a\\..\\..\\evil",
    "\\\\host\\share\\evil",
    "a\nb",
    "a\x1bb",
    "",
    ".",
    "x" * 300,
    "/".join("x" * 20),
]


def make_zip(path: Path, files: Files, level: int = 9) -> Path:
    """A zip of files, under whatever names."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=level) as packed:
        for name, content in files:
            packed.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
    return path


def refusal(archive: Path, limits: ArchiveLimits | None = None) -> ScenarioError:
    """Why an archive is refused; nothing of it may lie outside the folder."""
    place = archive.parent / "place"
    folder = place / "deep" / "folder"
    folder.mkdir(parents=True)
    with pytest.raises(ScenarioError) as refused:
        unpack(archive, folder, limits)
    outside = [path for path in place.rglob("*") if not path.is_relative_to(folder)]
    assert outside == [place / "deep"]
    return refused.value


def test_files_come_out(tmp_path: Path) -> None:
    """In their folders, with their content, and with no rights that they ask for."""
    files = [("city/town.sumocfg", b"<c/>"), ("city/nets/town.net.xml", b"<net/>" * 100)]
    unpack(make_zip(tmp_path / "archive", files), tmp_path / "out")
    for name, content in files:
        path = tmp_path / "out" / name
        assert path.read_bytes() == content
        assert not path.stat().st_mode & stat.S_IXUSR


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_name_that_leads_elsewhere_is_refused(name: str, tmp_path: Path) -> None:
    """Upwards, to the root, to a drive, or to nowhere."""
    error = refusal(make_zip(tmp_path / "archive", [("fine", b""), (name, b"evil")]))
    assert error.code == "bad_archive"


@given(st.text(max_size=60))
def test_name_that_is_taken_stays_in_the_folder(name: str) -> None:
    """Whatever it is made of."""
    try:
        parts = check_name(name)
    except ScenarioError:
        return
    assert parts
    assert all(part not in ("", ".", "..") and "/" not in part for part in parts)


def test_name_with_a_zero_byte_is_refused(tmp_path: Path) -> None:
    """Some readers take what is before it for the name."""
    archive = make_zip(tmp_path / "archive", [("town.sumocfgX.txt", b"x")])
    archive.write_bytes(archive.read_bytes().replace(b"sumocfgX", b"sumocfg\0"))
    assert refusal(archive).code == "bad_archive"


@pytest.mark.parametrize(
    "kind",
    [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFIFO, stat.S_IFSOCK, stat.S_IFDIR, 0xF000],
)
def test_entry_that_is_no_plain_file_is_refused(kind: int, tmp_path: Path) -> None:
    """A link, device, pipe or folder is a file whose mode says so, wherever it points."""
    entry = zipfile.ZipInfo("town.net.xml")
    entry.external_attr = (kind | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "archive", "w") as packed:
        packed.writestr(entry, "/etc/passwd")
    assert refusal(tmp_path / "archive").code == "bad_archive"


def test_two_entries_of_one_name_are_refused(tmp_path: Path) -> None:
    """Which of them would have been looked at?"""
    with pytest.warns(UserWarning, match="Duplicate"):
        archive = make_zip(tmp_path / "archive", [("a", b"1"), ("a", b"2")])
    assert refusal(archive).code == "bad_archive"


def test_file_in_a_file_is_refused(tmp_path: Path) -> None:
    """A name cannot be a file and a folder."""
    archive = make_zip(tmp_path / "archive", [("a", b"1"), ("a/b", b"2")])
    assert refusal(archive).code == "bad_archive"


def test_limits_are_counted(tmp_path: Path) -> None:
    """Entries, one file's bytes, all files' bytes; what just fits is taken."""
    cases: dict[str, Files] = {
        "entries": [(f"f{n}", b"") for n in range(11)],
        "file": [("f", bytes(10_001))],
        "total": [(f"f{n}", bytes(9_999)) for n in range(5)],
    }
    for name, files in cases.items():
        (tmp_path / name).mkdir()
        archive = make_zip(tmp_path / name / "archive", files)
        assert refusal(archive, SMALL).code == "too_large", name
    fits = [(f"f{n}", bytes(900)) for n in range(10)]
    unpack(make_zip(tmp_path / "fits", fits), tmp_path / "out", SMALL)


def test_bomb_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    """A thousand bytes for each that was sent: no honest network packs like that."""
    archive = make_zip(tmp_path / "archive", [("bomb", bytes(64 << 20))])
    assert archive.stat().st_size < 100_000
    assert refusal(archive).code == "too_large"
    written = sum(p.stat().st_size for p in tmp_path.rglob("bomb"))
    assert written <= 20 << 20


def test_size_that_a_zip_claims_is_not_believed(tmp_path: Path) -> None:
    """The headers say ten bytes; what comes out is counted, or the archive is damaged."""
    content = bytes(50_000)
    archive = make_zip(tmp_path / "archive", [("f", content)])
    real = len(content).to_bytes(4, "little")
    archive.write_bytes(archive.read_bytes().replace(real, (10).to_bytes(4, "little")))
    assert refusal(archive, SMALL).code in ("too_large", "bad_archive")


def make_overlapping_zip(path: Path, kernel: bytes, count: int) -> None:
    """A zip of entries each of which has the next one, header and all, as its content."""
    entries: list[zipfile.ZipInfo] = []
    for number in range(count):
        with zipfile.ZipFile(path, "w") as packed:
            packed.writestr(f"f{number}", kernel)
            for entry in entries:
                entry.header_offset += ZIP_HEADER_BYTES + len(f"f{number}")
            entries = packed.filelist = packed.filelist + entries
        kernel = path.read_bytes()


def test_bytes_that_entries_share_are_counted_for_each(tmp_path: Path) -> None:
    """Nothing is compressed, and yet five times as much comes out."""
    make_overlapping_zip(tmp_path / "archive", bytes(8_000), 6)
    assert (tmp_path / "archive").stat().st_size < 10_000
    error = refusal(tmp_path / "archive", SMALL)
    assert error.code == "too_large" or "verlap" in error.message, "newer zipfiles see it first"


def test_what_an_archive_does_not_list_is_not_unpacked(tmp_path: Path) -> None:
    """Another archive, in front of the one whose list is at the end."""
    hidden = make_zip(tmp_path / "hidden", [("hidden", b"x")]).read_bytes()
    archive = make_zip(tmp_path / "archive", [("f", b"x")])
    archive.write_bytes(hidden + archive.read_bytes())
    unpack(archive, tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["f"]


def test_encrypted_zip_is_refused(tmp_path: Path) -> None:
    """There is nobody to ask for a password."""
    archive = make_zip(tmp_path / "archive", [("f", b"x")])
    content = bytearray(archive.read_bytes())
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(signature) + offset] |= 1
    archive.write_bytes(bytes(content))
    assert refusal(archive).code == "bad_archive"


def test_other_compressions_are_refused(tmp_path: Path) -> None:
    """Their unpackers are no better tested than they must be, and theirs are the worst bombs."""
    with zipfile.ZipFile(tmp_path / "archive", "w", zipfile.ZIP_LZMA) as packed:
        packed.writestr("f", "x")
    assert refusal(tmp_path / "archive").code == "bad_archive"


def test_archive_in_an_archive_is_not_unpacked(tmp_path: Path) -> None:
    """It is a file like any other."""
    inner = make_zip(tmp_path / "inner", [("../evil", b"x")]).read_bytes()
    unpack(make_zip(tmp_path / "archive", [("inner.zip", inner)]), tmp_path / "out")
    assert (tmp_path / "out" / "inner.zip").read_bytes() == inner


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"x",
        b"PK\x03\x04",
        b"PK\x05\x06" + bytes(18),
        b"\x1f\x8b",
    ],
)
def test_what_is_no_archive_is_refused(content: bytes, tmp_path: Path) -> None:
    """Whatever it begins with."""
    (tmp_path / "archive").write_bytes(content)
    assert refusal(tmp_path / "archive").code == "bad_archive"


@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_tar_is_refused_by_name(mode: Literal["w", "w:gz"], tmp_path: Path) -> None:
    """With the command that makes a zip."""
    with tarfile.open(tmp_path / "archive", mode) as packed:
        packed.addfile(tarfile.TarInfo("town.sumocfg"))
    error = refusal(tmp_path / "archive")
    assert error.code == "bad_archive"
    assert "a tar or gzip file" in error.message
    assert "zip -r" in error.message


def test_archive_that_is_cut_off_is_refused(tmp_path: Path) -> None:
    """Half a network is none."""
    archive = make_zip(tmp_path / "archive", [("f", bytes(range(256)) * 20)])
    archive.write_bytes(archive.read_bytes()[:-40])
    assert refusal(archive).code == "bad_archive"


def test_gzip_is_unpacked_up_to_a_limit() -> None:
    """A bomb costs no more than the limit, and is refused."""
    assert gunzip(gzip.compress(b"state"), 5) == b"state"
    for content in (b"states", bytes(100 << 20)):
        with pytest.raises(StateFileError) as refused:
            gunzip(gzip.compress(content), 5)
        assert refused.value.code == "too_large"


@pytest.mark.parametrize(
    "content",
    [
        gzip.compress(b"state", mtime=0)[:-1],
        gzip.compress(b"state", mtime=0) + b"more",
        gzip.compress(b"a", mtime=0) + gzip.compress(b"b", mtime=0),
        b"\x1f\x8bnonsense",
    ],
)
def test_gzip_that_is_not_whole_is_refused(content: bytes) -> None:
    """What SUMO writes is one stream from begin to end."""
    with pytest.raises(StateFileError):
        gunzip(content, 1000)


def _folder(root: Path, **files: bytes) -> Path:
    """A folder of files; double underscores stand for dots."""
    for name, content in files.items():
        (root / name.replace("__", ".")).write_bytes(content)
    return root


def _bomb(encoding: str, quote: Callable[[str], str]) -> dict[str, bytes]:
    """Six files, each of which includes the next one ten times; the last one has a kilobyte."""
    files = {}
    for level in range(6):
        line = f'<include href="{quote(f"f{level + 1}.xml")}"/>' if level < 5 else " " * 100
        text = f'<?xml version="1.0" encoding="{encoding}"?>\n<add>{line * 10}</add>'
        files[f"f{level}__xml"] = text.encode(encoding)
    return files


@pytest.mark.parametrize("encoding", ["UTF-8", "UTF-16", "latin-1"])
@pytest.mark.parametrize("quote", [str, lambda name: f"&#{ord(name[0])};{name[1:]}"])
def test_include_bomb_is_counted_not_read(
    tmp_path: Path, encoding: str, quote: Callable[[str], str]
) -> None:
    """A file counts as often as it is included, however its name is written."""
    bomb = _folder(tmp_path, **_bomb(encoding, quote))
    with pytest.raises(ScenarioError, match="once per include") as caught:
        check_unpacked(bomb, 4000)
    assert caught.value.code == "too_large"


def test_gzip_in_an_archive_is_counted_unpacked(tmp_path: Path) -> None:
    """All gzips together, and against the bytes that were sent."""
    packed = gzip.compress(b"<add>" + b" " * 9_000_000 + b"</add>")
    check_unpacked(_folder(tmp_path, a__add__xml=packed), 9000)
    with pytest.raises(ScenarioError, match="the archive unpacks to more than") as caught:
        check_unpacked(_folder(tmp_path, b__add__xml=packed), 9000)
    assert caught.value.code == "too_large"


def test_files_that_include_each_other_without_end_are_refused(tmp_path: Path) -> None:
    """By name, and at once."""
    ring = {
        "a__xml": b'<add><include href="b.xml"/></add>',
        "b__xml": b'<x><rerouter file="a.xml"/></x>',
    }
    with pytest.raises(ScenarioError, match="in an endless loop"):
        check_unpacked(_folder(tmp_path, **ring), 4000)


def test_ordinary_bundles_are_within_the_budget(tmp_path: Path) -> None:
    """With a plain include, a missing one in a comment, and what is no XML."""
    files = {
        "a__xml": b'<add><!-- <include href="gone.xml"/> --><include href="b.xml.gz"/></add>',
        "b__xml__gz": gzip.compress(b"<add><include href='c.xml'/></add>"),
        "c__xml": b"<add/>",
        "readme__txt": b"include nothing < & >",
        "broken__gz": b"PK rerouter",
    }
    check_unpacked(_folder(tmp_path, **files), 4000)


def test_damaged_gzip_is_named(tmp_path: Path) -> None:
    """It is the archive's fault."""
    cut = gzip.compress(b"<add/>" * 1000)[:-20]
    with pytest.raises(ScenarioError) as caught:
        check_unpacked(_folder(tmp_path, a__xml=cut), 4000)
    assert caught.value.code == "bad_archive"
