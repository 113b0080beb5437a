"""Takes uploads in: from the request's body to a state that can be scored.

Knows nothing about HTTP. :mod:`sim_workers.uploads.inspector` inspects the contents of an upload,
in a process of its own; :mod:`sim_workers.uploads.storage` owns the layout on disk.
"""

import asyncio
import re
import shutil
import time
import uuid
from collections.abc import AsyncIterable, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from reward_server.http.slots import FairSlots
from reward_server.uploads.inspection import look_at
from reward_server.uploads.quota import UploadQuota, size_of
from shared.dataset import DatasetLayout, Manifest
from shared.errors import ConflictingState, UnknownScenario
from shared.wire.states import StateRecord, StateView
from shared.wire.uploads import ScenarioView
from sim_workers.states.store import StateStore, StoredState, read_manifest
from sim_workers.uploads.inspector import IntakeRequest
from sim_workers.uploads.storage import place_scenario, place_state

__all__ = ["StateOrigin", "UploadService"]

_SCENARIO_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}-[0-9a-f]{12}")
_INCOMING = ".incoming"
_TIMEOUT_S = 120.0
_AT_A_TIME = 2
_STALE_S = 3600.0
"""Anything older in the folder of incoming uploads was left by a gateway that was killed."""


@dataclass(frozen=True)
class StateOrigin:
    """What a caller says about a state and its file does not show."""

    scenario_id: str
    seed: int
    scale: float


@dataclass(frozen=True)
class _StagedUpload:
    """An upload that is being inspected."""

    file: Path
    """The file as sent."""
    folder: Path
    """The result of the inspection."""


class UploadService:
    """Accepts uploads of scenarios and states, two at a time and one per caller.

    Args:
        folder: Where they are kept; created with the first one.
        store: Notified of each new state.
        quota: Decides what fits.
    """

    def __init__(self, folder: Path, store: StateStore, quota: UploadQuota) -> None:
        self._quota = quota
        self._folder = folder
        self._store = store
        self._slots = FairSlots(_AT_A_TIME)

    async def take_scenario(
        self, body: AsyncIterable[bytes], name: str | None, caller: str
    ) -> ScenarioView:
        """Takes in an archive of a scenario.

        Args:
            body: A zip.
            name: The scenario's name, if it was normalised before, as a dataset's scenario is.
            caller: Who sent it; callers take turns.

        Raises:
            InvalidRequest: It is refused; the code says why.
            StorageFull: It does not fit.
        """
        self._quota.check(caller, 0)
        async with self._received(body) as staged:
            request = IntakeRequest(upload=staged.file, folder=staged.folder, name=name)
            async with self._slots.held(caller):
                manifest = (await look_at(request, _TIMEOUT_S)).manifest
            assert manifest is not None, "a scenario has a manifest"  # noqa: S101
            target = self._folder / manifest.scenario.scenario_id
            size = await asyncio.to_thread(size_of, staged.folder)
            if not await asyncio.to_thread(target.exists):
                self._quota.check(caller, size)
            created = await asyncio.to_thread(place_scenario, staged.folder, target)
            if created:
                await asyncio.to_thread(self._quota.add, caller, target.name, size)
        return _scenario_view(manifest, created)

    async def take_state(
        self, body: AsyncIterable[bytes], origin: StateOrigin, caller: str
    ) -> tuple[StateView, bool]:
        """Takes in a state file; also returns whether it is new.

        Args:
            body: The file that SUMO saved, gzipped or not.
            origin: The scenario and run that it is a state of.
            caller: Who sent it; callers take turns.

        Raises:
            UnknownScenario: Its scenario was not uploaded.
            ConflictingState: The same file is known as a state of something else.
            InvalidRequest: It is refused; the code says why.
            StorageFull: It does not fit.
        """
        root = self._scenario_folder(origin.scenario_id)
        self._quota.check(caller, 0, states=1)
        async with self._received(body) as staged:
            request = IntakeRequest(
                upload=staged.file,
                folder=staged.folder,
                dataset=root,
                seed=origin.seed,
                scale=origin.scale,
            )
            async with self._slots.held(caller):
                record = (await look_at(request, _TIMEOUT_S)).record
            assert record is not None, "a state has a record"  # noqa: S101
            await asyncio.to_thread(self._store.look_again)
            record = self._told_apart(record, staged.folder)
            known = self._store.find(record.state_id)
            if known is None:
                draft = staged.folder / f"{record.state_id}.xml"
                size = await asyncio.to_thread(size_of, draft)
                self._quota.check(caller, size, states=1)
                known = await asyncio.to_thread(self._place, draft, record, root)
                created = self._store.add([known])
                if created:
                    await asyncio.to_thread(self._quota.add, caller, record.state_id, size)
            else:
                created = False
        _refuse_conflict(known.record, record)
        return known.view(), created

    def _told_apart(self, record: StateRecord, folder: Path) -> StateRecord:
        """Gives a longer id to a state if the same file of another scenario has its plain id.

        Otherwise anyone who has somebody else's state could claim its id first, under a scenario
        of the same name.
        """
        known = self._store.find(record.state_id)
        if known is None or known.record.scenario_id == record.scenario_id:
            return record
        _, _, rest = record.state_id.rpartition("@")
        longer = record.model_copy(update={"state_id": f"{record.scenario_id}@{rest}"})
        (folder / f"{record.state_id}.xml").rename(folder / f"{longer.state_id}.xml")
        return longer

    def sweep(self) -> None:
        """Removes what killed gateways have left half done, and counts what is there."""
        self._quota.count()
        for path in (self._folder / _INCOMING).glob("*"):
            if time.time() - path.stat().st_mtime > _STALE_S:
                shutil.rmtree(path, ignore_errors=True)

    def _scenario_folder(self, scenario_id: str) -> Path:
        root = self._folder / scenario_id
        is_id = _SCENARIO_ID.fullmatch(scenario_id) is not None
        if not is_id or not DatasetLayout(root).manifest.is_file():
            raise UnknownScenario(
                f"no scenario {scenario_id[:120]!r} was uploaded; PUT /v1/scenarios first"
            )
        return root

    def _place(self, draft: Path, record: StateRecord, root: Path) -> StoredState:
        kept = place_state(draft, record, root)
        return StoredState(kept, read_manifest(root), DatasetLayout(root))

    @asynccontextmanager
    async def _received(self, body: AsyncIterable[bytes]) -> AsyncIterator[_StagedUpload]:
        """Writes a body to disk as it arrives; afterwards only what was moved away is left.

        The limits of :mod:`reward_server.http.body_limit` apply to the sender.
        """
        place = self._folder / _INCOMING / uuid.uuid4().hex
        staged = _StagedUpload(place / "upload", place / "out")
        try:
            await asyncio.to_thread(staged.folder.mkdir, parents=True)
            with staged.file.open("xb") as file:
                async for chunk in body:
                    await asyncio.to_thread(file.write, chunk)
            yield staged
        finally:
            await asyncio.shield(asyncio.to_thread(shutil.rmtree, place, ignore_errors=True))


def _scenario_view(manifest: Manifest, created: bool) -> ScenarioView:
    scenario = manifest.scenario
    return ScenarioView(
        scenario_id=scenario.scenario_id,
        name=scenario.name,
        signals=tuple(sorted(manifest.signals)),
        dropped_options=scenario.dropped_options,
        created=created,
    )


def _refuse_conflict(known: StateRecord, given: StateRecord) -> None:
    """Refuses a state known as another run's: an id alone names one scenario and one run."""
    if _origin(known) != _origin(given):
        raise ConflictingState(
            f"{known.state_id} already exists, as a state of {known.scenario_id} with seed "
            f"{known.seed} and scale {known.scale:g}"
        )


def _origin(record: StateRecord) -> tuple[str, int, float]:
    return record.scenario_id, record.seed, record.scale
