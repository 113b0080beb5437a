"""How much space uploads may take: all of them, and those of one caller.

::

    <data directory>/uploads/.owners/<caller>/<scenario id, or state id>

Each file holds the size in bytes of the upload that it is named after. The owner is known for as
long as the upload exists; uploads that an operator has removed no longer count.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from reward_server.storage.disk import Disk
from shared.errors import StorageFull

__all__ = ["UploadLimits", "UploadQuota", "size_of"]

_OWNERS = ".owners"


@dataclass(frozen=True)
class UploadLimits:
    """How much uploads may take in all; one caller may use half of it."""

    max_bytes: int
    max_states: int


class UploadQuota(Collector):
    """Counts uploads, and refuses what does not fit.

    Args:
        folder: Where uploads are kept.
        limits: How much they may take.
        disk: The disk that they are on.
    """

    def __init__(self, folder: Path, limits: UploadLimits, disk: Disk) -> None:
        self._folder = folder
        self._limits = limits
        self._disk = disk
        self._bytes: Counter[str] = Counter()
        self._states: Counter[str] = Counter()

    def count(self) -> None:
        """Counts what is there; forgets the owners of uploads that are gone."""
        found_bytes: Counter[str] = Counter()
        found_states: Counter[str] = Counter()
        here = {path.parent.name for path in self._folder.glob("*/manifest.json")}
        here |= {path.stem for path in self._folder.glob("*/states/*.xml")}
        for mark in (self._folder / _OWNERS).glob("*/*"):
            if mark.name not in here:
                mark.unlink(missing_ok=True)
                continue
            owner = mark.parent.name
            found_bytes[owner] += int(mark.read_text() or 0)
            found_states[owner] += _is_state(mark.name)
        self._bytes, self._states = found_bytes, found_states

    def check(self, caller: str, size: int, states: int = 0) -> None:
        """Returns if this much more from a caller fits.

        Raises:
            StorageFull: ``too_many_upload_bytes``, ``too_many_states``, ``disk_full``.
        """
        self._disk.check(size)
        _check_half(
            *(self._bytes, caller, size, self._limits.max_bytes),
            *("bytes of uploads", "too_many_upload_bytes"),
        )
        if states:
            _check_half(
                *(self._states, caller, states, self._limits.max_states),
                *("uploaded states", "too_many_states"),
            )

    def add(self, caller: str, name: str, size: int) -> None:
        """Records the owner of a new upload.

        Args:
            caller: The owner.
            name: The id of the scenario or the state.
            size: Its size on disk, bytes.
        """
        mark = self._folder / _OWNERS / caller / name
        mark.parent.mkdir(parents=True, exist_ok=True)
        mark.write_text(str(size))
        self._bytes[caller] += size
        self._states[caller] += _is_state(name)

    def collect(self) -> Iterable[Metric]:
        """How full it is, and how full it may be."""
        used, most = self._bytes.total(), self._limits.max_bytes
        yield GaugeMetricFamily("greenfork_upload_bytes", "Bytes of uploads.", used)
        yield GaugeMetricFamily(
            "greenfork_upload_bytes_limit", "Bytes that uploads may take.", most
        )
        states, limit = self._states.total(), self._limits.max_states
        yield GaugeMetricFamily("greenfork_uploaded_states", "Uploaded states.", states)
        yield GaugeMetricFamily(
            "greenfork_uploaded_states_limit", "Maximum number of uploaded states.", limit
        )
        words = "Bytes that uploads and jobs may still take on the disk."
        yield GaugeMetricFamily("greenfork_disk_free_bytes", words, self._disk.free_bytes)


def size_of(path: Path) -> int:
    """The bytes of a file, or of all files in a folder."""
    if path.is_file():
        return path.stat().st_size
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())


def _check_half(
    used: Counter[str], caller: str, more: int, limit: int, what: str, code: str
) -> None:
    own, total = used[caller] + more, used.total() + more
    if total > limit or own > limit / 2:
        raise StorageFull(
            f"you have {used[caller]} {what} of {used.total()} in total, and {more} more do not "
            f"fit: the limit is {limit}, half of it per caller; ask the operator",
            code,
        )


def _is_state(name: str) -> bool:
    return "@" in name
