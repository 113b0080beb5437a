"""Which rollouts a reward is made of, and under which keys they are remembered."""

import dataclasses
from typing import Any

import pytest

from reward_server.scoring.rollout_plan import outcome_key, plan_rollouts, reference_of
from shared.decisions import Extend
from shared.rewards import RewardSpec
from sim_workers.pool.rollouts import RolloutTask
from sim_workers.states.store import StoredState
from tests.unit.reward_server.world import GREEN, GRID, make_grid, make_manifest, make_state

TASK = RolloutTask.of(GREEN, "C", Extend(extend=True), 60)
JOINT = RolloutTask(GRID, ("A0", "A1"), (("A0", Extend(extend=True)),), 60)


def changed(state: StoredState, **fields: Any) -> StoredState:  # noqa: ANN401
    """A state whose record says something else."""
    return dataclasses.replace(state, record=state.record.model_copy(update=fields))


def test_keys_tell_apart_what_gives_other_outcomes() -> None:
    """A state's file does not know its scenario, its green limits or how it is brought back."""
    state = make_state(GREEN)
    states = [
        state,
        make_state(GREEN, make_manifest(max_green_s=40)),
        make_state(GREEN, make_manifest(scenario_id="crossing-222222222222")),
        changed(state, seed=2),
        changed(state, scale=1.5),
        changed(state, restore="replay"),
        changed(state, restore="replay", anchor="crossing@1-eeeeeeeeeeee"),
    ]
    keys = {outcome_key(TASK, state, version) for state in states for version in ("1", "2")}
    assert len(keys) == 2 * len(states)
    assert outcome_key(TASK, make_state(GREEN), "1") in keys


def test_what_is_only_said_of_a_state_leaves_its_keys_alone() -> None:
    """The same file is rolled out, whether or not anybody noted where everything was."""
    state = make_state(GREEN)
    again = changed(state, digest="0123456789abcdef")
    assert outcome_key(TASK, again, "1") == outcome_key(TASK, state, "1")


def test_fidelity_is_part_of_a_key() -> None:
    """What was computed in another simulation than the user's own is not taken for it."""
    state = make_state(GREEN)
    run = state.manifest.simulation
    own = run.model_copy(update={"fidelity": "own", "compared_to_s": 1e9})
    keys = set()
    for other in (run, own, run.model_copy(update={"fidelity": "unchecked"})):
        runs = (other.model_copy(update={"run": state.record.run}),)
        manifest = state.manifest.model_copy(update={"simulations": runs})
        keys.add(outcome_key(TASK, dataclasses.replace(state, manifest=manifest), "1"))
    assert len(keys) == 3


@pytest.mark.parametrize("tls_id", ["A0", "A1"])
def test_green_limits_of_every_observed_signal_count(tls_id: str) -> None:
    """Decided or only watched."""
    grid = make_grid()
    signals = dict(grid.manifest.signals)
    signals[tls_id] = signals[tls_id].model_copy(update={"min_green_s": 7})
    other = dataclasses.replace(
        grid, manifest=grid.manifest.model_copy(update={"signals": signals})
    )
    assert outcome_key(JOINT, other, "1") != outcome_key(JOINT, grid, "1")


def test_green_limits_of_other_signals_do_not() -> None:
    """What happens there is the program's."""
    grid = make_grid()
    signals = dict(grid.manifest.signals)
    signals["B0"] = signals["B0"].model_copy(update={"min_green_s": 7})
    other = dataclasses.replace(
        grid, manifest=grid.manifest.model_copy(update={"signals": signals})
    )
    assert outcome_key(JOINT, other, "1") == outcome_key(JOINT, grid, "1")


def test_reference_leaves_every_program_alone() -> None:
    """Also where somebody follows the decisions up; the same signals are watched."""
    followed = dataclasses.replace(JOINT, follow_up="max_pressure")
    assert reference_of(followed) == RolloutTask(GRID, ("A0", "A1"), (), 60)


@pytest.mark.parametrize(
    ("reward", "rollouts"),
    [
        (RewardSpec(name="queue"), [(True, None)]),
        (RewardSpec(name="queue_gain"), [(True, None), (False, None)]),
        (RewardSpec(name="sum", terms={"wait": 1, "speed": 1}), [(True, None)]),
        (RewardSpec(name="sum", terms={"wait": 1, "queue_gain": 1}), [(True, None), (False, None)]),
        (RewardSpec(name="queue", seeds=(3, 1)), [(True, 3), (True, 1)]),
        (
            RewardSpec(seeds=(3, 1)),
            [(True, 3), (False, 3), (True, 1), (False, 1)],
        ),
    ],
)
def test_rollouts_of_a_reward(reward: RewardSpec, rollouts: list[tuple[bool, int | None]]) -> None:
    """One a seed, and with each its reference, of the same seed, where the reward compares."""
    work = plan_rollouts(TASK, make_state(GREEN), reward, "1")
    assert [(bool(t.decisions), t.reseed) for t in work.tasks().values()] == rollouts
