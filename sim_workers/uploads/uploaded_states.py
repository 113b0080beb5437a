"""The uploaded states of a folder, for a store that wants to learn of new ones."""

import threading
import time
from collections.abc import Callable
from pathlib import Path

import structlog

from shared.dataset import DatasetLayout
from shared.errors import DatasetError
from sim_workers.states.store import StoredState, read_states

__all__ = ["UploadedStates"]

_LOG = structlog.get_logger(__name__)


class UploadedStates:
    """Reads what has been uploaded since the last call, here or by another gateway.

    A folder that cannot be read is skipped, with a line in the log: an upload must not keep a
    service from starting.

    Args:
        folder: Contains a dataset for each scenario; need not exist yet.
        every_s: It looks at the disk no more often than this.
        clock: Seconds of a clock that never goes back.
    """

    def __init__(
        self, folder: Path, every_s: float = 2.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._folder = folder
        self._every_s = every_s
        self._clock = clock
        self._looked_s = float("-inf")
        self._seen: dict[Path, tuple[int, int]] = {}
        self._lock = threading.Lock()

    def fresh(self) -> list[StoredState]:
        """States of folders that have changed; some of them may be known already."""
        with self._lock:
            if self._clock() - self._looked_s < self._every_s:
                return []
            self._looked_s = self._clock()
            return [state for root in self._changed() for state in self._read(root)]

    def _changed(self) -> list[Path]:
        changed = []
        for index in sorted(self._folder.glob("*/states/index.jsonl")):
            found = index.stat()
            mark = (found.st_mtime_ns, found.st_size)
            root = index.parent.parent
            if self._seen.get(root) != mark:
                self._seen[root] = mark
                changed.append(root)
        return changed

    def _read(self, root: Path) -> list[StoredState]:
        try:
            states = read_states(root)
        except DatasetError as exc:
            _LOG.warning("upload_unreadable", folder=str(root), reason=exc.message)
            return []
        scenario_id, layout = root.name, DatasetLayout(root)
        return [
            state
            for state in states
            if state.record.scenario_id == scenario_id
            and layout.state_file(state.record.state_id).parent == layout.states
        ]
