"""Moments of episodes, saved as states that anybody can score on.

They are stored with the uploads of their scenario; the scenario of a dataset is copied there with
the first of them.
"""

import asyncio
import hashlib
import uuid
from pathlib import Path

from reward_server.episodes.origins import EpisodeOrigins
from reward_server.episodes.records import StoredEpisode
from reward_server.uploads.quota import UploadQuota
from shared.dataset import DatasetLayout, Manifest, SimulationRef
from shared.files import write_atomically
from shared.wire.episode_control import is_yellow
from shared.wire.states import StateRecord, StateView
from sim_workers.engine.version import simulator
from sim_workers.pool.episodes.messages import SavedMoment
from sim_workers.scenarios.scenario import write_files
from sim_workers.states.store import StateStore, StoredState, read_manifest
from sim_workers.uploads.storage import place_scenario, place_state

__all__ = ["EpisodeStates"]

_INCOMING = ".incoming"


class EpisodeStates:
    """Saves states of episodes.

    Args:
        states: Told of each new one.
        origins: Knows the scenarios.
        uploads: The folder of uploads.
        quota: Limits the storage.
    """

    def __init__(
        self, states: StateStore, origins: EpisodeOrigins, uploads: Path, quota: UploadQuota
    ) -> None:
        self._states = states
        self._origins = origins
        self._uploads = uploads
        self._quota = quota

    async def keep(
        self, episode: StoredEpisode, saved: SavedMoment, caller: str
    ) -> tuple[StateView, bool]:
        """Saves a moment; returns its state and whether it is new.

        Raises:
            StorageFull: There is no room for it.
        """
        return await asyncio.to_thread(self._keep, episode, saved, caller)

    def _keep(
        self, episode: StoredEpisode, saved: SavedMoment, caller: str
    ) -> tuple[StateView, bool]:
        self._states.look_again()
        record = _record_of(episode, saved)
        known = self._states.find(record.state_id)
        if known is not None and known.record.control != record.control:
            record = record.model_copy(update={"state_id": _longer_id(record, episode)})
            known = self._states.find(record.state_id)
        if known is not None:
            return known.view(), False
        size = len(saved.content) + len(saved.actions)
        self._quota.check(caller, size, states=1)
        state = self._place(record, saved, self._root(episode.scenario_id))
        if self._states.add([state]):
            self._quota.add(caller, record.state_id, size)
        return self._states.get(record.state_id).view(), True

    def _root(self, scenario_id: str) -> Path:
        """The folder of a scenario's uploads, created if it is missing."""
        root = self._uploads / scenario_id
        if DatasetLayout(root).manifest.is_file():
            return root
        manifest, files = self._origins.scenario(scenario_id)
        draft = DatasetLayout(self._uploads / _INCOMING / uuid.uuid4().hex)
        write_files(draft.scenario, files)
        draft.states.mkdir()
        draft.index.touch()
        draft.manifest.write_text(f"{_without_states(manifest).model_dump_json(indent=2)}\n")
        place_scenario(draft.root, root)
        return root

    def _place(self, record: StateRecord, saved: SavedMoment, root: Path) -> StoredState:
        layout = DatasetLayout(root)
        actions = layout.actions(record.run)
        actions.parent.mkdir(exist_ok=True)
        write_atomically(actions, saved.actions)
        draft = self._uploads / _INCOMING / f"{uuid.uuid4().hex}.xml"
        draft.parent.mkdir(parents=True, exist_ok=True)
        draft.write_bytes(saved.content)
        manifest = read_manifest(root)
        run = SimulationRef(
            run=record.run,
            command=(),
            begin_s=manifest.simulation.begin_s,
            end_s=record.time_s,
            seed=record.seed,
            scale=record.scale,
            policy="episode",
            actions=actions.relative_to(root).as_posix(),
            actions_sha256=hashlib.sha256(saved.actions).hexdigest(),
            fidelity="unchecked",
        )
        kept = place_state(draft, record, root, run)
        return StoredState(kept, read_manifest(root), layout)


def _record_of(episode: StoredEpisode, saved: SavedMoment) -> StateRecord:
    control = episode.spec.control
    return StateRecord(
        state_id=saved.state_id,
        scenario_id=episode.scenario_id,
        time_s=saved.time_s,
        seed=episode.spec.seed,
        scale=episode.spec.scale,
        run=f"episode-{episode.at.digest[:16]}",
        restore="replay",
        read=None if saved.read is None else dict(saved.read),
        digest=saved.digest,
        verified_s=saved.verified_s,
        control=control if is_yellow(control) else None,
        simulator=simulator(),
        signals=dict(saved.signals),
    )


def _longer_id(record: StateRecord, episode: StoredEpisode) -> str:
    """Id of a state that has the same file as another, but carries out decisions differently."""
    _, _, rest = record.state_id.rpartition("@")
    return f"{record.scenario_id}.{episode.at.digest[:6]}@{rest}"


def _without_states(manifest: Manifest) -> Manifest:
    """A dataset's manifest, for a copy of its scenario without the states."""
    build = manifest.build.model_copy(update={"states": 0, "rows": 0, "replayed": 0})
    scenario = manifest.scenario.model_copy(update={"original": ()})
    run = manifest.simulation.model_copy(update={"actions": None, "actions_sha256": None})
    given = {"build": build, "scenario": scenario, "simulation": run, "simulations": (run,)}
    return manifest.model_copy(update=given)
