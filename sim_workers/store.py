"""The states a service knows: found in dataset folders, checked against their digests.

Read-only. Who writes a dataset is :mod:`sim_workers.builder`.
"""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from shared.dataset import DatasetLayout, Manifest
from shared.errors import DatasetError, StateFileError, UnknownSignal, UnknownState
from shared.signals import Signal
from shared.states import StateRecord, StateView
from sim_workers.statefile import check_version
from sim_workers.version import sumo_version

__all__ = ["StateStore", "StoredState", "find_datasets", "read_manifest"]


@dataclass(frozen=True)
class StoredState:
    """A state and where its files lie."""

    record: StateRecord
    manifest: Manifest
    layout: DatasetLayout

    def signal(self, tls_id: str) -> Signal:
        """The definition of one of its traffic lights.

        Raises:
            UnknownSignal: The network has no such traffic light.
        """
        try:
            return self.manifest.signals[tls_id]
        except KeyError:
            raise UnknownSignal(
                f"state {self.record.state_id} has no signal {tls_id!r}; "
                f"it has {', '.join(sorted(self.manifest.signals))}"
            ) from None

    def is_same_as(self, other: "StoredState") -> bool:
        """Whether decisions mean the same in both."""
        return self._meaning() == other._meaning()

    def _meaning(self) -> tuple[object, ...]:
        record = self.record
        return record.scenario_id, record.seed, record.signals, self.manifest.signals

    def view(self) -> StateView:
        """The state as the gateway shows it."""
        return StateView(
            **{name: getattr(self.record, name) for name in StateRecord.model_fields},
            definitions=self.manifest.signals,
        )

    def read(self) -> bytes:
        """The state file.

        Raises:
            StateFileError: It is gone, its content is not what its id says, or another version of
                SUMO wrote it.
        """
        path = self.layout.state_file(self.record.state_id)
        try:
            content = path.read_bytes()
        except OSError as exc:
            raise StateFileError(f"cannot read {path}: {exc.strerror}") from exc
        digest = hashlib.sha256(content).hexdigest()[:12]
        if not self.record.state_id.endswith(f"-{digest}"):
            raise StateFileError(f"{path} was changed: its digest is {digest}", "digest_mismatch")
        check_version(content, sumo_version())
        return content


class StateStore:
    """States by id, out of any number of datasets.

    Two datasets may hold the same state, but not with other green limits or in another scenario:
    a request names a state by its id alone.

    Raises:
        DatasetError: ``conflicting_state``.
    """

    def __init__(self, states: Iterable[StoredState]) -> None:
        self._states: dict[str, StoredState] = {}
        for state in states:
            known = self._states.setdefault(state.record.state_id, state)
            if not known.is_same_as(state):
                raise DatasetError(
                    f"{known.layout.root} and {state.layout.root} both hold state "
                    f"{state.record.state_id}, with other signals or scenarios; serve one of them",
                    "conflicting_state",
                )

    @classmethod
    def open(cls, folders: Iterable[Path]) -> "StateStore":
        """Reads the indices of datasets.

        Args:
            folders: Datasets, or folders of datasets.

        Raises:
            DatasetError: A folder holds no dataset, or a damaged one.
        """
        roots = [root for folder in folders for root in find_datasets(folder)]
        return cls(state for root in roots for state in _read_states(root))

    def __len__(self) -> int:
        return len(self._states)

    def __iter__(self) -> Iterator[StoredState]:
        return iter(self._states.values())

    def get(self, state_id: str) -> StoredState:
        """The state of that id.

        Raises:
            UnknownState: None is known.
        """
        try:
            return self._states[state_id]
        except KeyError:
            raise UnknownState(f"no state {state_id!r} is known here") from None


def find_datasets(folder: Path) -> list[Path]:
    """The dataset at ``folder``, or those directly below it.

    Raises:
        DatasetError: There is none.
    """
    if not folder.is_dir():
        raise DatasetError(f"{folder} is not a folder")
    if DatasetLayout(folder).manifest.is_file():
        return [folder]
    below = sorted(p for p in folder.iterdir() if DatasetLayout(p).manifest.is_file())
    if not below:
        raise DatasetError(f"{folder} holds no dataset: there is no manifest.json")
    return below


def read_manifest(root: Path) -> Manifest:
    """The manifest of a dataset.

    Raises:
        DatasetError: It is missing or damaged.
    """
    path = DatasetLayout(root).manifest
    try:
        return Manifest.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as exc:
        raise DatasetError(f"{path} is not a dataset's manifest: {exc}") from exc


def _read_states(root: Path) -> Iterator[StoredState]:
    layout = DatasetLayout(root)
    manifest = read_manifest(root)
    try:
        lines = layout.index.read_bytes().splitlines()
    except OSError as exc:
        raise DatasetError(f"cannot read {layout.index}: {exc.strerror}") from exc
    for number, line in enumerate(lines, start=1):
        try:
            record = StateRecord.model_validate_json(line)
        except ValidationError as exc:
            raise DatasetError(f"{layout.index}, line {number}: {exc}") from exc
        yield StoredState(record, manifest, layout)
