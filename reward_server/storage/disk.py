"""Free space on the disk that the ledger shares with uploads and jobs."""

import shutil
from collections.abc import Callable
from pathlib import Path

from shared.errors import StorageFull

__all__ = ["Disk"]


def _free_bytes(folder: Path) -> int:
    """Free bytes on the disk on which a folder is, or will be."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return shutil.disk_usage(folder).free


class Disk:
    """The disk of a data directory, of which some space is reserved for the ledger.

    If the ledger cannot be written, every item of every caller fails.

    Args:
        folder: The data directory.
        reserve_bytes: Space reserved for the ledger.
        free_bytes: Returns the free space on a disk.
    """

    def __init__(
        self,
        folder: Path,
        reserve_bytes: int,
        free_bytes: Callable[[Path], int] = _free_bytes,
    ) -> None:
        self._folder = folder.absolute()
        self._reserve_bytes = reserve_bytes
        self._free_bytes = free_bytes

    @property
    def free_bytes(self) -> int:
        """Space that may be used for anything but the ledger, never below 0."""
        return max(0, self._free_bytes(self._folder) - self._reserve_bytes)

    def check(self, size: int) -> None:
        """Checks that this many bytes fit.

        Raises:
            StorageFull: ``disk_full``.
        """
        if size > self.free_bytes:
            raise StorageFull(
                "the service's disk is nearly full, and the rest is reserved for its ledger; ask "
                "the operator",
                "disk_full",
            )
