"""The states that a service knows: found in dataset folders, checked against their digests.

This module only reads; :mod:`sim_workers.datasets.builder` writes datasets.
"""

import hashlib
import threading
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from shared.dataset import Action, DatasetLayout, Manifest, SimulationRef
from shared.decisions import MAX_GREEN_S
from shared.errors import (
    DatasetError,
    ScenarioError,
    StateFileError,
    UnknownSignal,
    UnknownState,
)
from shared.signals import Signal
from shared.wire.episode_control import EpisodeControl
from shared.wire.states import StateRecord, StateView
from sim_workers.engine.version import sumo_version
from sim_workers.scenarios.scenario import check_served, make_scenario_id, read_files
from sim_workers.states.foreign_states import refuse_harm
from sim_workers.states.state_file import check_version

__all__ = [
    "StateStore",
    "StoredState",
    "find_datasets",
    "read_manifest",
    "read_rows",
    "read_scenario",
    "read_states",
]

_Model = TypeVar("_Model", bound=BaseModel)

_LOOKED_THROUGH: set[str] = set()
"""Ids of scenarios known to be harmless; an id is a digest of the files."""


@dataclass(frozen=True)
class StoredState:
    """A state and the location of its files."""

    record: StateRecord
    manifest: Manifest
    layout: DatasetLayout
    siblings: Mapping[str, StateRecord] = field(default_factory=dict, compare=False, repr=False)
    """All states of its dataset, by id."""

    def signal(self, tls_id: str) -> Signal:
        """The definition of one of its traffic lights.

        Raises:
            UnknownSignal: The network has no such traffic light.
        """
        try:
            return _with_bounds(self.manifest.signals[tls_id], self.record.control)
        except KeyError:
            raise UnknownSignal(
                f"state {self.record.state_id} has no signal {tls_id!r}; "
                f"it has {', '.join(sorted(self.manifest.signals))}"
            ) from None

    def meaning(self) -> tuple[object, ...]:
        """A value that is equal for states in which decisions mean the same."""
        run = (self.record.scenario_id, self.record.seed, self.record.scale)
        return (*run, self.record.signals, self.manifest.signals)

    def anchor(self) -> "StoredState | None":
        """The state from whose file a replay starts; None if it starts at the run's begin.

        Raises:
            DatasetError: It is not in the dataset.
        """
        state_id = self.record.anchor
        if state_id is None:
            return None
        if state_id not in self.siblings:
            raise DatasetError(
                f"{self.layout.index}: state {self.record.state_id} is replayed from {state_id}, "
                "which is missing",
                "damaged_dataset",
            )
        return StoredState(self.siblings[state_id], self.manifest, self.layout, self.siblings)

    def actions(self, from_s: float | None = None, to_s: float | None = None) -> tuple[Action, ...]:
        """The actions of its run's policy, in order.

        Args:
            from_s: First time in seconds; None for the run's begin.
            to_s: Time before which to end, in seconds; None for the state's time.

        Raises:
            DatasetError: The run or the file of its actions is not in the dataset.
            StateFileError: ``digest_mismatch``: the file was changed.
        """
        run = self.simulation()
        if run.actions is None:
            return ()
        actions = _read_actions(self.layout.root / run.actions, run.actions_sha256)
        times_s = [action.time_s for action in actions]
        end = bisect_left(times_s, self.record.time_s if to_s is None else to_s)
        return actions[0 if from_s is None else bisect_left(times_s, from_s) : end]

    def run_key(self) -> str:
        """A key that is equal for states saved from equal runs, in any dataset."""
        record, actions = self.record, self.simulation().actions_sha256
        return f"{record.scenario_id} {record.seed} {record.scale!r} {actions}"

    def simulation(self) -> SimulationRef:
        """The run from which it was saved.

        Raises:
            DatasetError: It is not in the dataset.
        """
        for simulation in self.manifest.simulations:
            if simulation.run == self.record.run:
                return simulation
        raise DatasetError(
            f"{self.layout.manifest} does not list the run {self.record.run!r}, from which state "
            f"{self.record.state_id} was saved",
            "damaged_dataset",
        )

    def view(self) -> StateView:
        """The state as the gateway shows it."""
        return StateView(
            **{name: getattr(self.record, name) for name in StateRecord.model_fields},
            definitions=self.manifest.signals,
        )

    def read(self) -> bytes:
        """The state file.

        Raises:
            StateFileError: It is missing, its content does not match its id, another version of
                SUMO wrote it, or it would make SUMO open other files.
        """
        content = self.check()
        refuse_harm(content)
        return content

    def check(self) -> bytes:
        """The state file as it is, for callers that do not load it.

        Raises:
            StateFileError: It is missing, its content does not match its id, or another version
                of SUMO wrote it.
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

    def read_scenario(self) -> dict[str, bytes]:
        """The files of its scenario, by name.

        Raises:
            DatasetError: They cannot be read, do not match the scenario's id, or would make SUMO
                read or write other files (``harmful_dataset``).
        """
        return read_scenario(self.layout, self.manifest.scenario.name, self.record.scenario_id)


class StateStore:
    """States by id, from any number of datasets. May be used by several threads.

    Two datasets may contain the same state, but not with different green limits or in a different
    scenario, because requests name a state by nothing but its id.

    Args:
        states: The states known from the beginning.
        more: Called for states added since then, by :meth:`look_again`.

    Raises:
        DatasetError: ``conflicting_state``.
    """

    def __init__(
        self,
        states: Iterable[StoredState],
        more: Callable[[], Iterable[StoredState]] = tuple,
    ) -> None:
        self._more = more
        self._adding = threading.Lock()
        self._states: dict[str, StoredState] = {}
        for state in states:
            known = self._states.setdefault(state.record.state_id, state)
            if known.meaning() != state.meaning():
                raise DatasetError(
                    f"{known.layout.root} and {state.layout.root} both contain state "
                    f"{state.record.state_id}, with different signals or scenarios; serve only "
                    "one of them",
                    "conflicting_state",
                )

    @classmethod
    def open(
        cls, folders: Iterable[Path], more: Callable[[], Iterable[StoredState]] = tuple
    ) -> "StateStore":
        """Reads the indices of datasets.

        Args:
            folders: Datasets, or folders of datasets.
            more: See the class; called once immediately.

        Raises:
            DatasetError: A folder contains no dataset, or a damaged one.
        """
        roots = [root for folder in folders for root in find_datasets(folder)]
        store = cls((state for root in roots for state in read_states(root)), more)
        store.add(more())
        return store

    def __len__(self) -> int:
        return len(self._states)

    def __iter__(self) -> Iterator[StoredState]:
        return iter(self._states.values())

    def get(self, state_id: str) -> StoredState:
        """The state with that id.

        Raises:
            UnknownState: There is none, as far as is known.
        """
        found = self.find(state_id)
        if found is None:
            raise UnknownState(f"no state {state_id!r} is known here")
        return found

    def find(self, state_id: str) -> StoredState | None:
        """The state with that id, if it is known; :meth:`look_again` finds new ones."""
        return self._states.get(state_id)

    def knows(self, state_id: str) -> bool:
        """Whether a state with that id is known."""
        return state_id in self._states

    def look_again(self) -> None:
        """Adds the states that have appeared since; may take a while."""
        self.add(self._more())

    def add(self, states: Iterable[StoredState]) -> bool:
        """Adds states that have appeared since; tells whether any was new.

        A state whose id is already known is ignored in any case, because a state does not change
        while it is served.
        """
        with self._adding:
            new = {
                state.record.state_id: state
                for state in states
                if state.record.state_id not in self._states
            }
            if new:
                self._states = self._states | new  # at once: others may be iterating
            return bool(new)


def _with_bounds(signal: Signal, control: EpisodeControl | None) -> Signal:
    """A signal with the green limits of the control under which decisions are carried out."""
    if control is None:
        return signal
    longest_s = MAX_GREEN_S if control.max_green_s is None else control.max_green_s
    bounds = {"min_green_s": control.min_green_s, "max_green_s": longest_s}
    return signal.model_copy(update=bounds)


def read_scenario(layout: DatasetLayout, name: str, scenario_id: str) -> dict[str, bytes]:
    """The files of a dataset's scenario, by name.

    Raises:
        DatasetError: They cannot be read, do not match the scenario's id, or would make SUMO read
            or write other files (``harmful_dataset``).
    """
    folder = layout.scenario
    try:
        files = read_files(folder)
    except OSError as exc:
        raise DatasetError(f"cannot read the scenario {folder}: {exc.strerror}") from exc
    found = make_scenario_id(name, files)
    if found != scenario_id:
        raise DatasetError(
            f"{folder} was changed: it is {found}, not {scenario_id}", "digest_mismatch"
        )
    if found not in _LOOKED_THROUGH:
        try:
            check_served(files)
        except ScenarioError as exc:
            raise DatasetError(
                f"the scenario in {folder} is not served: {exc.message}", "harmful_dataset"
            ) from exc
        _LOOKED_THROUGH.add(found)
    return files


def find_datasets(folder: Path) -> list[Path]:
    """The dataset at ``folder``, or those directly below it.

    Raises:
        DatasetError: There is no dataset.
    """
    if not folder.is_dir():
        raise DatasetError(f"{folder} is not a folder")
    if DatasetLayout(folder).manifest.is_file():
        return [folder]
    below = sorted(p for p in folder.iterdir() if DatasetLayout(p).manifest.is_file())
    if not below:
        raise DatasetError(f"{folder} does not contain a dataset: there is no manifest.json")
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


def read_states(root: Path) -> list[StoredState]:
    """The states of one dataset.

    Raises:
        DatasetError: It is damaged.
    """
    layout = DatasetLayout(root)
    manifest = read_manifest(root)
    records = {record.state_id: record for record in read_rows(layout.index, StateRecord, None)}
    return [StoredState(record, manifest, layout, records) for record in records.values()]


def read_rows(
    path: Path, model: type[_Model], code: str | None = "damaged_dataset"
) -> list[_Model]:
    """The lines of one of a dataset's files.

    Raises:
        DatasetError: The file cannot be read, or one of its lines, which the message gives.
    """
    found: list[_Model] = []
    try:
        for line in path.read_bytes().splitlines():
            found.append(model.model_validate_json(line))
    except OSError as exc:
        raise DatasetError(f"cannot read {path}: {exc.strerror}", code) from exc
    except ValidationError as exc:
        raise DatasetError(f"{path}, line {len(found) + 1}: {exc}", code) from exc
    return found


@lru_cache(maxsize=64)
def _read_actions(path: Path, sha256: str | None) -> tuple[Action, ...]:
    """The actions of a run, in order; cached, because every state of the run needs them."""
    try:
        content = path.read_bytes()
    except OSError as exc:
        raise DatasetError(f"cannot read {path}: {exc.strerror}") from exc
    digest = hashlib.sha256(content).hexdigest()
    if digest != sha256:
        raise StateFileError(f"{path} was changed: its digest is {digest}", "digest_mismatch")
    try:
        return tuple(Action.model_validate_json(line) for line in content.splitlines())
    except ValidationError as exc:
        raise DatasetError(f"{path}: {exc}", "damaged_dataset") from exc
