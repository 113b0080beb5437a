"""Episodes over HTTP, against a service that is made up here."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import cast

import pytest

from greenfork.control.remote import EpisodeClient, RemoteStarter
from greenfork.control.sites import served_id
from reward_client import SyncRewardClient
from shared.errors import ConfigError, RolloutCrashed, ServiceUnreachable
from shared.signals import Phase, Program, SignalState
from shared.wire.episode_views import (
    CandidateMetrics,
    CandidateResult,
    CandidatesRequest,
    CandidatesResponse,
    EpisodeDetail,
    EpisodeResult,
)
from shared.wire.episodes import (
    PRESETS,
    ControlAction,
    EpisodeDecision,
    EpisodeRequest,
    EpisodeReward,
    ShowPhase,
    SignalObservation,
    StepAnswer,
    StepRequest,
)
from shared.wire.error_info import ErrorInfo
from shared.wire.states import Simulator
from sim_workers.controllers.control_run import ControlRun
from sim_workers.controllers.look_ahead import LookAheadSettings
from sim_workers.controllers.making import find_controller
from sim_workers.controllers.protocols import protocol_of
from sim_workers.controllers.runs import Comparison, drive
from sim_workers.controllers.starting import Start
from tests.unit.greenfork.control.finished_episodes import FIGURES

STEPS = 3
WAITING = {0: 1, 2: 3, 4: 2}
"""Vehicles on the lanes of each green; a rule shows 2."""
PROGRAM = Program(
    program_id="0",
    kind="static",
    phases=tuple(
        Phase(duration_s=9, state="G", green_lanes=lanes)
        for lanes in (("n_0", "n_1"), (), ("n_1",), (), ("e_0",))
    ),
)
SIMULATOR = Simulator(version="0")
ACTION = ControlAction(time_s=0, tls_id="c", call="setPhase", arguments=(2,))


def _features() -> dict[str, float]:
    found: dict[str, float] = {"elapsed_s": 10.0, "is_open": 1.0}
    for phase, queued in WAITING.items():
        counts = {"queued": queued, "approaching": 0, "passed": 0, "wait_s": 1.5, "exit_veh": 0}
        shown = {"shown": phase == 0, "legal": True, **counts}
        found |= {f"phase{phase}_{name}": float(value) for name, value in shown.items()}
    return found


@dataclass
class _Service:
    """One signal for three steps of ten seconds."""

    costs: Mapping[int, float] = field(default_factory=dict)
    """Of showing a phase, where candidates are scored; one that is missing fails."""
    fails_at: int | None = None
    has_state: bool = False
    asked: list[EpisodeRequest] = field(default_factory=list)
    steps: list[StepRequest] = field(default_factory=list)
    scored: list[CandidatesRequest] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)

    def _answer(self, step: int) -> StepAnswer:
        observed = SignalObservation(
            current_phase=0,
            elapsed_green_s=10,
            legal=tuple(ShowPhase(next_phase=phase) for phase in WAITING),
            features=_features() if "features" in self.asked[-1].observe else None,
        )
        return StepAnswer(
            episode_id="e1",
            step=step,
            time_s=10.0 * step,
            signals={"c": observed} if self.asked[-1].signals is None else {},
            truncated=step == STEPS,
        )

    def create_episode(self, request: EpisodeRequest) -> StepAnswer:
        """Begins it."""
        self.asked.append(request)
        self.steps.clear()
        return self._answer(0)

    def step_episode(self, episode_id: str, request: StepRequest) -> StepAnswer:
        """Steps it, or is gone."""
        assert (episode_id, request.step) == ("e1", len(self.steps))
        if request.step == self.fails_at:
            raise ServiceUnreachable("gone")
        self.steps.append(request)
        return self._answer(len(self.steps))

    def score_candidates(self, episode_id: str, request: CandidatesRequest) -> CandidatesResponse:
        """Prices candidates."""
        self.scored.append(request)
        return CandidatesResponse(
            episode_id=episode_id,
            step=len(self.steps),
            time_s=0,
            results=tuple(self._result(one.id, one.decisions) for one in request.items),
        )

    def _result(
        self, key: str | int | None, decisions: Mapping[str, EpisodeDecision]
    ) -> CandidateResult:
        decision = decisions["c"]
        assert isinstance(decision, ShowPhase)
        cost = self.costs.get(decision.next_phase)
        if cost is None:
            error = ErrorInfo.of(RolloutCrashed("it died"))
            return CandidateResult(id=key, status="failed", reward=None, error=error)
        metrics = CandidateMetrics(delay_veh=cost, queue_veh=0)
        return CandidateResult(id=key, status="scored", reward=-cost, metrics=metrics)

    def states(self, scenario: str) -> list[SimpleNamespace]:
        """One of the scenario, if it has any."""
        assert scenario == "crossing-1"
        return [SimpleNamespace(state_id="crossing-1@5")] if self.has_state else []

    def state(self, state_id: str) -> SimpleNamespace:
        """Its signal, and what that runs."""
        assert state_id == "crossing-1@5"
        running = SignalState(program_id="0", phase=0, elapsed_s=5)
        definition = SimpleNamespace(programs={"0": PROGRAM})
        return SimpleNamespace(definitions={"c": definition}, signals={"c": running})

    def episode(self, episode_id: str) -> EpisodeDetail:
        """What it is."""
        asked, now = self.asked[-1], datetime(2026, 11, 28, tzinfo=UTC)
        assert asked.seed is not None
        answer = self._answer(0)
        return EpisodeDetail(
            episode_id=episode_id,
            status="running",
            is_live=True,
            scenario_id="crossing-1",
            seed=asked.seed,
            scale=1,
            begin_s=0,
            end_s=10 * STEPS,
            time_s=0,
            step=0,
            signals=tuple(answer.signals),
            control=asked.control,
            reward=EpisodeReward(),
            observe=asked.observe,
            created_at=now,
            updated_at=now,
            answer=answer,
        )

    def episode_result(self, episode_id: str) -> EpisodeResult:
        """Its figures."""
        return EpisodeResult(
            **FIGURES.model_dump(),
            episode_id=episode_id,
            scenario_id="crossing-1",
            seed=7,
            scale=1,
            begin_s=0,
            end_s=10 * STEPS,
            steps=STEPS,
            simulator=SIMULATOR,
        )

    def episode_trips(self, episode_id: str, form: str) -> bytes:
        """SUMO's own."""
        assert form == "application/xml"
        return b"<tripinfos/>"

    def episode_actions(self, episode_id: str) -> tuple[ControlAction, ...]:
        """What was told."""
        return (ACTION,)

    def delete_episode(self, episode_id: str) -> None:
        """Takes it out."""
        self.deleted.append(episode_id)


def _drive(service: _Service, *names: str, seeds: tuple[int, ...] = (7,)) -> list[ControlRun]:
    settings = LookAheadSettings(horizon_s=30, base="max_pressure")
    controllers = tuple(find_controller(name, settings) for name in names)
    protocol = protocol_of("resco", "crossing")
    starter = RemoteStarter(cast("EpisodeClient", service), "crossing-1", protocol, 30)
    return drive(Comparison(controllers, seeds, 1), starter)


def _shown(steps: Sequence[StepRequest]) -> list[EpisodeDecision]:
    return [one.decisions["c"] for one in steps]


def test_a_rule_decides_by_the_features() -> None:
    """It asks for them, shows the green with most vehicles, and brings the figures home."""
    service = _Service()
    (run,) = _drive(service, "greedy")
    assert (run.error, run.decisions, run.seed) == (None, STEPS, 7)
    (asked,) = service.asked
    assert (asked.scenario_id, asked.seed, asked.end_s) == ("crossing-1", 7, 30)
    assert (asked.observe, asked.control, asked.signals) == (("features",), PRESETS["resco"], None)
    assert _shown(service.steps) == [ShowPhase(next_phase=2)] * STEPS
    assert run.finished is not None
    assert run.finished.figures == FIGURES
    assert run.finished.outputs.tripinfo == b"<tripinfos/>"
    assert run.finished.actions == (ACTION,)
    assert run.finished.record.steps == tuple(service.steps)
    assert service.deleted == []  # what is finished is kept


def test_fixed_steers_no_signal() -> None:
    """The network's programs run."""
    service = _Service()
    (run,) = _drive(service, "fixed")
    assert (run.error, run.decisions) == (None, 0)
    assert service.asked[0].signals == ()


def test_look_ahead_has_the_service_score_candidates() -> None:
    """The base first, then the others; the cheapest is shown, and the base decides afterwards."""
    service = _Service(costs={0: 4, 2: 5, 4: 3})
    (run,) = _drive(service, "look-ahead")
    assert run.error is None
    assert run.rollouts == 3 * STEPS
    assert _shown(service.steps) == [ShowPhase(next_phase=4)] * STEPS
    first = service.scored[0]
    assert (first.base, first.reward.name, first.reward.horizon_s) == ("max_pressure", "delay", 30)
    tried = [one.decisions["c"] for one in first.items]
    assert tried == [ShowPhase(next_phase=phase) for phase in (2, 0, 4)]


def test_a_candidate_that_fails_is_an_error() -> None:
    """Nothing is decided by what is missing, and the episode is taken out."""
    service = _Service(costs={0: 4, 2: 5})
    (run,) = _drive(service, "look-ahead")
    assert run.error is not None
    assert run.error.code == RolloutCrashed.code
    assert (service.steps, service.deleted) == ([], ["e1"])


def test_an_episode_that_fails_is_taken_out() -> None:
    """It would be kept until somebody steps it."""
    service = _Service(fails_at=1)
    (run,) = _drive(service, "greedy")
    assert run.error is not None
    assert run.error.code == "service_unreachable"
    assert service.deleted == ["e1"]


@pytest.mark.parametrize(
    ("name", "program"), [("actuated", "actuated"), ("delay-based", "delay_based")]
)
def test_sumos_own_controllers_are_programs_of_the_service(name: str, program: str) -> None:
    """Nothing is steered."""
    service = _Service()
    (run,) = _drive(service, name)
    assert (run.error, run.decisions) == (None, 0)
    assert (service.asked[0].program, service.asked[0].signals) == (program, ())


def test_sotl_reads_the_lanes_of_greens_from_a_state() -> None:
    """Phase 4 waits longer than 2, whose only lane has green now, although fewer wait there."""
    service = _Service(has_state=True)
    (run,) = _drive(service, "sotl")
    assert run.error is None
    assert _shown(service.steps) == [ShowPhase(next_phase=phase) for phase in (0, 0, 4)]


def test_without_a_state_sotl_is_refused() -> None:
    """With what to do about it."""
    (run,) = _drive(_Service(), "sotl")
    assert run.error is not None
    assert run.error.code == "bad_config"
    assert "none of crossing-1; add one with greenfork push, leave sotl out" in run.error.message


def test_without_features_nothing_is_counted() -> None:
    """A model is asked for its prompts alone."""
    service = _Service()
    starter = RemoteStarter(
        cast("EpisodeClient", service), "crossing-1", protocol_of("resco", "x"), None
    )
    with starter.start(Start(1, observe=("prompt",))) as episode:
        assert service.asked[0].observe == ("prompt",)
        seen = episode.seen.signals["c"]
        assert (seen.phase, seen.elapsed_s, len(seen.legal), seen.counts) == (0, 10, 3, {})
    assert service.deleted == ["e1"]


def _listing(*ids: str) -> SyncRewardClient:
    records = [SimpleNamespace(scenario_id=one) for one in ids]
    return cast("SyncRewardClient", SimpleNamespace(states=lambda given: records))


def test_a_scenario_is_found_by_name_or_id() -> None:
    """One that no state is listed of is left to the service to know; a name must be of one."""
    assert served_id("crossing", _listing("crossing-1", "crossing-1")) == "crossing-1"
    assert served_id("new-2", _listing()) == "new-2"
    with pytest.raises(ConfigError, match="crossing-1, crossing-2"):
        served_id("crossing", _listing("crossing-2", "crossing-1"))
