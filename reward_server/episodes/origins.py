"""The origins of episodes, scenarios or states, and what a worker needs to begin there.

Scenarios belong to the served datasets, or were uploaded.
"""

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from reward_server.scoring.new_states import NewStates
from shared.dataset import DatasetLayout, Manifest
from shared.errors import InvalidRequest, UnknownScenario
from shared.wire.episodes import EpisodeRequest, StepRequest
from sim_workers.engine.messages import Replay
from sim_workers.episodes.record import EpisodeSpec
from sim_workers.pool.episodes.messages import EpisodeOrigin
from sim_workers.states.store import StateStore, StoredState, read_manifest, read_scenario

__all__ = ["EpisodeOrigins", "Planned"]

_SCENARIO_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}-[0-9a-f]{12}")


@dataclass(frozen=True)
class Planned:
    """An episode as requested, with everything resolved."""

    scenario_id: str
    state_id: str | None
    spec: EpisodeSpec

    @property
    def begins_at(self) -> str:
        """Id of the state or the scenario from which the episode begins."""
        return self.state_id or self.scenario_id


@dataclass(frozen=True)
class _Known:
    """A scenario and the location of its files."""

    manifest: Manifest
    layout: DatasetLayout


class EpisodeOrigins:
    """Finds scenarios and states.

    Args:
        states: The states of all datasets and uploads.
        new_states: Registers states that were added since the start.
        uploads: Where uploaded scenarios are.
    """

    def __init__(self, states: StateStore, new_states: NewStates, uploads: Path) -> None:
        self._states = states
        self._new_states = new_states
        self._uploads = uploads
        self._known: dict[str, _Known] = {}

    async def plan(self, request: EpisodeRequest) -> Planned:
        """The episode that a request describes.

        Raises:
            UnknownScenario: No such scenario is served.
            UnknownState: No such state is served.
            InvalidRequest: The times do not fit together, or a signal is not in the network.
        """
        if request.state_id is not None:
            await self._new_states.meet([request.state_id])
            state = self._states.get(request.state_id)
            _check_signals(request, state.manifest)
            record, end_s = state.record, state.manifest.scenario.end_s
            spec = EpisodeSpec.of(request, record.seed, record.time_s, end_s, record.scale)
            return Planned(record.scenario_id, record.state_id, spec)
        assert request.scenario_id is not None, "one of the two is given"  # noqa: S101
        manifest = (await asyncio.to_thread(self._find, request.scenario_id)).manifest
        _check_signals(request, manifest)
        run = manifest.simulation
        if request.begin_s is not None and request.begin_s < run.begin_s:
            raise InvalidRequest(
                f"the scenario begins at {run.begin_s:g} s, and begin_s = {request.begin_s:g} is "
                "before that; leave it out to begin there",
                "begin_before_scenario",
            )
        spec = EpisodeSpec.of(request, run.seed, run.begin_s, manifest.scenario.end_s)
        return Planned(request.scenario_id, None, spec)

    async def origin(
        self, planned: Planned, requests: Sequence[bytes], with_scenario: bool
    ) -> EpisodeOrigin:
        """Everything that a worker needs to replay an episode.

        Args:
            planned: The episode.
            requests: The requests of its steps, as JSON.
            with_scenario: Whether to include the scenario's files.

        Raises:
            GreenforkError: Files are missing or were changed.
        """
        if planned.state_id is not None:
            await self._new_states.meet([planned.state_id])
        return await asyncio.to_thread(self._origin, planned, requests, with_scenario)

    def scenario(self, scenario_id: str) -> tuple[Manifest, dict[str, bytes]]:
        """The manifest and the files of a scenario.

        Raises:
            UnknownScenario: No such scenario is served.
            DatasetError: The files are missing or were changed.
        """
        known = self._find(scenario_id)
        files = read_scenario(known.layout, known.manifest.scenario.name, scenario_id)
        return known.manifest, files

    def _origin(
        self, planned: Planned, requests: Sequence[bytes], with_scenario: bool
    ) -> EpisodeOrigin:
        steps = tuple(StepRequest.model_validate_json(one) for one in requests)
        if planned.state_id is not None:
            return _from_state(self._states.get(planned.state_id), planned, steps, with_scenario)
        known, files = self._find(planned.scenario_id), None
        if with_scenario:
            name = known.manifest.scenario.name
            files = read_scenario(known.layout, name, planned.scenario_id)
        is_later = planned.spec.begin_s > known.manifest.simulation.begin_s
        return EpisodeOrigin(
            spec=planned.spec,
            steps=steps,
            scenario_id=planned.scenario_id,
            scenario=files,
            replay=Replay(to_s=planned.spec.begin_s) if is_later else None,
        )

    def _find(self, scenario_id: str) -> _Known:
        """A served scenario.

        Raises:
            UnknownScenario: No scenario with that id is served.
        """
        if scenario_id not in self._known:
            for state in self._states:
                known = _Known(state.manifest, state.layout)
                self._known.setdefault(state.record.scenario_id, known)
        if scenario_id not in self._known:
            layout = DatasetLayout(self._uploads / scenario_id)
            is_id = _SCENARIO_ID.fullmatch(scenario_id) is not None
            if not is_id or not layout.manifest.is_file():
                raise UnknownScenario(
                    f"no scenario {scenario_id[:120]!r} is served here; its states are listed by "
                    "GET /v1/states, and PUT /v1/scenarios uploads one"
                )
            self._known[scenario_id] = _Known(read_manifest(layout.root), layout)
        return self._known[scenario_id]


def _check_signals(request: EpisodeRequest, manifest: Manifest) -> None:
    for tls_id in request.signals or ():
        if tls_id not in manifest.signals:
            raise InvalidRequest(
                f"the network has no traffic light {tls_id[:80]!r}; it has "
                f"{', '.join(sorted(manifest.signals)[:10])}",
                "unknown_signal",
            )


def _from_state(
    state: StoredState, planned: Planned, steps: tuple[StepRequest, ...], with_scenario: bool
) -> EpisodeOrigin:
    """The origin of an episode that begins from a state.

    If the run of the state is known, it is replayed up to the state, which is exact whatever is
    decided afterwards. For any other state there is only its file.
    """
    record, files = state.record, state.read_scenario() if with_scenario else None
    if record.restore != "unverified":
        return EpisodeOrigin(
            spec=planned.spec,
            steps=steps,
            scenario_id=planned.scenario_id,
            scenario=files,
            replay=Replay(to_s=record.time_s, actions=state.actions()),
            digest=record.digest,
        )
    return EpisodeOrigin(
        spec=planned.spec,
        steps=steps,
        scenario_id=planned.scenario_id,
        scenario=files,
        state_id=record.state_id,
        state=state.read(),
        read=record.read,
        elapsed_s={tls_id: one.elapsed_s for tls_id, one in record.signals.items()},
    )
