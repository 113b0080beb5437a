"""What every kind of decision does, in plain SUMO and in our engine, at random moments of runs.

Two implementations of the contract meet here, and a third one that needs no simulator: a model of
what a signal shows, second by second, computed from its program and the decision.
"""

import random
from collections.abc import Iterator
from itertools import chain, count, islice, repeat, takewhile
from math import ceil, floor
from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from shared.decisions import Cycle, CycleGreen, Decision, Extend, NextPhase, Plan, PlanStep
from shared.legality import check_legality
from shared.rewards import FollowUp
from shared.signals import Program, Signal, SignalState
from shared.wire.error_info import ErrorInfo
from sim_workers.engine.messages import Rollout
from sim_workers.engine.policies import PolicySpec
from sim_workers.engine.version import sumo_version
from sim_workers.pool.rollout import make_rollout
from sim_workers.states.store import StateStore, StoredState
from sim_workers.verification.engine_runs import engine_worker, roll_out
from sim_workers.verification.reference_control import Greens
from sim_workers.verification.reference_simulation import Episode, Played, play
from sim_workers.verification.sumo_process import find_sumo
from tests.integration.conftest import OWN
from tests.integration.sim_workers.handmade import make_dataset

HORIZON_S = 120
"""Longer than a cycle of either scenario, so that one can see a decision end."""
KINDS = ("extend", "phase", "cycle", "plan")
FEW = settings(
    max_examples=3,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


class World:
    """Runs of our own scenarios, with states at random moments, and both ways to play them."""

    def __init__(self, folder: Path) -> None:
        self._sumo = find_sumo(sumo_version())
        self._engine = engine_worker()
        moments = random.Random(3).sample(range(60, 420), 24)
        policies = {"program": PolicySpec(), "random": PolicySpec(name="random")}
        for name, config in OWN.items():
            for policy, spec in policies.items():
                make_dataset(folder / f"{name}-{policy}", config, sorted(moments), spec)
        self.states = {
            root.name: list(StateStore.open([root])) for root in sorted(folder.iterdir())
        }

    def close(self) -> None:
        """Ends what simulates."""
        self._engine.close()

    def play(self, state: StoredState, rollout: Rollout) -> Played:
        """What plain SUMO shows of a rollout."""
        run, signals = state.manifest.simulation, state.manifest.signals
        episode = Episode(
            folder=state.layout.root,
            command=(*state.manifest.scenario.original, "--seed", str(run.seed)),
            environment={},
            actions=None if run.actions is None else state.layout.root / run.actions,
            moment_s=state.record.time_s,
            decisions=tuple((one.tls_id, one.decision) for one in rollout.signal_decisions),
            greens={t: Greens(s.min_green_s, s.max_green_s) for t, s in signals.items()},
            observe=rollout.observe,
            horizon_s=rollout.horizon_s,
            follow_up=rollout.follow_up,
        )
        return play(self._sumo, episode)

    def check(
        self,
        state: StoredState,
        decisions: dict[str, Decision],
        follow_up: FollowUp = "program",
    ) -> Played:
        """Plays decisions both ways, expects the same of both, and returns it."""
        alone: dict[str, Decision | None] = {min(state.manifest.signals): None}
        rollout = make_rollout(state, decisions or alone, HORIZON_S, follow_up)
        played = self.play(state, rollout)
        rolled_out = roll_out(self._engine, state, rollout, "replay")
        assert not isinstance(rolled_out, ErrorInfo), rolled_out
        assert played.signals == state.record.signals
        assert rolled_out == played.metrics, (state.record.state_id, decisions, follow_up)
        return played


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Made once."""
    world = World(tmp_path_factory.mktemp("runs"))
    yield world
    world.close()


def legal(kind: str, signal: Signal, now: SignalState) -> st.SearchStrategy[Decision]:
    """Legal decisions of a kind; but for a cycle the signal must show a green."""
    program = signal.programs[now.program_id]
    lowest, highest = int(signal.min_green_s), int(signal.max_green_s)
    lengths = st.integers(lowest, highest)
    if kind == "cycle":
        greens = (
            st.builds(CycleGreen, phase=st.just(g), green_s=lengths) for g in program.greens()
        )
        return st.builds(Cycle, greens=st.tuples(*greens))
    if kind == "extend":
        return st.builds(Extend, extend=st.booleans(), extend_s=st.integers(1, 40))
    if kind == "plan":
        steps = st.lists(st.builds(PlanStep, extend=st.booleans()), min_size=1, max_size=12)
        return st.builds(Plan, steps=steps.map(tuple), extend_s=st.integers(2, 15))
    others = [phase for phase in program.greens() if phase != now.phase]
    shortest, longest = max(1, ceil(lowest - now.elapsed_s)), floor(highest - now.elapsed_s)
    change = st.builds(NextPhase, next_phase=st.sampled_from(others), green_s=lengths)
    stay = st.integers(shortest, max(shortest, longest)).map(
        lambda green_s: NextPhase(next_phase=now.phase, green_s=green_s)
    )
    return change | stay if longest >= shortest else change


def shows_green(state: StoredState, tls_id: str) -> bool:
    """Whether there is something to decide for every kind."""
    now = state.record.signals[tls_id]
    return state.signal(tls_id).programs[now.program_id].phases[now.phase].is_green


@st.composite
def places(
    draw: st.DrawFn, world: World, run: str, kind: str, signals: int = 1
) -> tuple[StoredState, dict[str, Decision]]:
    """A state and decisions at some of its signals."""
    states = world.states[run]
    state = states[draw(st.integers(0, len(states) - 1))]
    open_signals = [
        tls_id
        for tls_id in sorted(state.manifest.signals)
        if kind == "cycle" or shows_green(state, tls_id)
    ]
    assume(len(open_signals) >= signals)
    chosen = draw(st.permutations(open_signals))[:signals]
    decided = {}
    for tls_id in chosen:
        signal, now = state.signal(tls_id), state.record.signals[tls_id]
        decided[tls_id] = draw(legal(kind, signal, now))
        check_legality(decided[tls_id], signal, now)
    return state, decided


def timeline(signal: Signal, now: SignalState, decision: Decision) -> tuple[int, ...]:
    """The phase in each second of the horizon, of a signal that its program ran until now."""
    program = signal.programs[now.program_id]
    seconds: Iterator[int]
    match decision:
        case Extend():
            left_s = decided_s(decision.extend, decision.extend_s, signal, now.elapsed_s)
            seconds = chain(repeat(now.phase, left_s), program_after(program, now.phase))
        case NextPhase(next_phase=phase, green_s=green_s) if phase == now.phase:
            seconds = chain(repeat(phase, green_s), program_after(program, phase))
        case NextPhase(next_phase=phase, green_s=green_s):
            ending = repeat(now.phase, decided_s(False, 0, signal, now.elapsed_s))
            clearance = takewhile(
                lambda each: not program.phases[each].is_green, program_after(program, now.phase)
            )
            seconds = chain(
                ending, clearance, repeat(phase, green_s), program_after(program, phase)
            )
        case Cycle(greens=greens):
            left_s = round(program.phases[now.phase].duration_s - now.elapsed_s)
            once = {green.phase: green.green_s for green in greens}
            seconds = chain(repeat(now.phase, left_s), program_after(program, now.phase, once))
        case Plan():
            seconds = planned(signal, now, decision)
    return tuple(islice(seconds, HORIZON_S))


def decided_s(keep: bool, extend_s: int, signal: Signal, shown_s: float) -> int:
    """How much longer a green lasts that is kept or ended."""
    if keep:
        return round(max(0, min(extend_s, signal.max_green_s - shown_s)))
    return round(max(0, signal.min_green_s - shown_s))


def program_after(
    program: Program, phase: int, once: dict[int, int] | None = None
) -> Iterator[int]:
    """What the program shows after a phase, for ever; some phases of another length at first."""
    lengths = {i: round(phase.duration_s) for i, phase in enumerate(program.phases)}
    first = dict(once or {})
    while True:
        phase = (phase + 1) % len(lengths)
        yield from repeat(phase, first.pop(phase, lengths[phase]))


def planned(signal: Signal, now: SignalState, plan: Plan) -> Iterator[int]:
    """A plan, with a clock."""
    program = signal.programs[now.program_id]
    phase, shown_s = now.phase, round(now.elapsed_s)
    left_s = round(program.phases[phase].duration_s) - shown_s
    steps = [step.extend for step in plan.steps]
    for second in count():
        is_open = program.phases[phase].is_green and (
            signal.min_green_s <= shown_s < signal.max_green_s
        )
        if steps and second % plan.extend_s == 0 and (is_open or second == 0):
            left_s = decided_s(steps.pop(0), plan.extend_s, signal, shown_s)
        if left_s == 0:
            phase, shown_s = (phase + 1) % len(program.phases), 0
            left_s = round(program.phases[phase].duration_s)
        yield phase
        shown_s, left_s = shown_s + 1, left_s - 1


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("scenario", OWN)
@FEW
@given(data=st.data())
def test_decisions_are_what_the_model_says(
    scenario: str, kind: str, world: World, data: st.DataObject
) -> None:
    """Plain SUMO shows what follows from program and decision; our engine measures the same."""
    state, decided = data.draw(places(world, f"{scenario}-program", kind))
    played = world.check(state, decided)
    for tls_id, decision in decided.items():
        now = state.record.signals[tls_id]
        assert played.phases[tls_id] == timeline(state.signal(tls_id), now, decision)


@FEW
@given(data=st.data())
def test_joint_decisions_are_each_what_the_model_says(world: World, data: st.DataObject) -> None:
    """Several signals of one kind each, decided together, measured on all of their lanes."""
    kind = data.draw(st.sampled_from(KINDS))
    state, decided = data.draw(places(world, "grid2x2-program", kind, signals=2))
    played = world.check(state, decided)
    for tls_id, decision in decided.items():
        now = state.record.signals[tls_id]
        assert played.phases[tls_id] == timeline(state.signal(tls_id), now, decision)


@pytest.mark.parametrize("follow_up", ["greedy", "max_pressure"])
@pytest.mark.parametrize("scenario", OWN)
@FEW
@given(data=st.data())
def test_follow_ups_are_the_same_in_plain_sumo(
    scenario: str, follow_up: FollowUp, world: World, data: st.DataObject
) -> None:
    """After any decision, at one signal or two, to the last bit of every metric."""
    kind, signals = data.draw(st.sampled_from(KINDS)), 1 if scenario == "crossing" else 2
    state, decided = data.draw(places(world, f"{scenario}-program", kind, signals))
    world.check(state, decided, follow_up)


@pytest.mark.parametrize("scenario", OWN)
@FEW
@given(data=st.data())
def test_runs_of_a_policy_are_repeated(scenario: str, world: World, data: st.DataObject) -> None:
    """What a policy did before the moment shapes the run; what it did afterwards is left out."""
    kind = data.draw(st.sampled_from(KINDS))
    world.check(*data.draw(places(world, f"{scenario}-random", kind)))


@pytest.mark.parametrize("run", ["crossing-program", "crossing-random", "grid2x2-random"])
def test_signals_left_alone_follow_their_programs(run: str, world: World) -> None:
    """The reference of a reward is the run itself."""
    for state in random.Random(run).sample(world.states[run], 2):
        world.check(state, {})
