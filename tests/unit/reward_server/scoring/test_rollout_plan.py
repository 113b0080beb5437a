"""Which rollouts a reward is made of, and under which keys they are remembered."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import pytest

from reward_server.scoring.rollout_plan import outcome_key, plan_rollouts
from shared.decisions import Decision, Extend
from shared.rewards import RewardSpec
from sim_workers.pool.rollout import fidelity_of, make_rollout
from sim_workers.states.store import StoredState
from tests.unit.reward_server.world import GREEN, make_grid, make_manifest, make_state

DECISIONS = {"C": Extend(extend=True)}
KEY_OF_0_1 = "f9f170ecba9218001b3e96f5c608f34e26fc892db67352c4b38e2fe8c939dc85"
"""As commit ee4e92a computes it: for the green crossing's decision under seed 3, over 60 s."""
JOINT = {"A0": Extend(extend=True), "A1": None}


def key_of(
    state: StoredState,
    version: str = "1",
    decisions: Mapping[str, Decision | None] = DECISIONS,
) -> str:
    """The key of decisions in a state."""
    return outcome_key(make_rollout(state, decisions, 60), state, version)


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
    keys = {key_of(state, version) for state in states for version in ("1", "2")}
    assert len(keys) == 2 * len(states)
    assert key_of(make_state(GREEN)) in keys


def test_what_is_only_said_of_a_state_leaves_its_keys_alone() -> None:
    """The same file is rolled out, whether or not anybody noted where everything was."""
    state = make_state(GREEN)
    again = changed(state, digest="0123456789abcdef")
    assert key_of(again) == key_of(state)


def test_fidelity_is_part_of_a_key() -> None:
    """What was computed in another simulation than the user's own is not taken for it."""
    state = make_state(GREEN)
    run = state.manifest.simulation
    own = run.model_copy(update={"fidelity": "own", "compared_to_s": 1e9})
    keys = set()
    for other in (run, own, run.model_copy(update={"fidelity": "unchecked"})):
        runs = (other.model_copy(update={"run": state.record.run}),)
        manifest = state.manifest.model_copy(update={"simulations": runs})
        keys.add(key_of(dataclasses.replace(state, manifest=manifest)))
    assert len(keys) == 3


def test_keys_of_bundles_are_those_of_version_0_1() -> None:
    """Which knew no fidelity, whatever is said of a rollout now."""
    state = make_state(GREEN)
    own = state.manifest.simulation.model_copy(
        update={"run": state.record.run, "fidelity": "own", "compared_to_s": 1e9}
    )
    rollout = make_rollout(state, DECISIONS, 60, reseed=3)
    assert fidelity_of(state, rollout) == "unchecked"
    manifest = state.manifest.model_copy(update={"simulations": (own,)})
    other = outcome_key(rollout, dataclasses.replace(state, manifest=manifest), "1")
    assert outcome_key(rollout, state, "1") == KEY_OF_0_1 != other


@pytest.mark.parametrize("tls_id", ["A0", "A1"])
def test_green_limits_of_every_observed_signal_count(tls_id: str) -> None:
    """Decided or only watched."""
    grid = make_grid()
    signals = dict(grid.manifest.signals)
    signals[tls_id] = signals[tls_id].model_copy(update={"min_green_s": 7})
    other = dataclasses.replace(
        grid, manifest=grid.manifest.model_copy(update={"signals": signals})
    )
    assert key_of(other, decisions=JOINT) != key_of(grid, decisions=JOINT)


def test_green_limits_of_other_signals_do_not() -> None:
    """What happens there is the program's."""
    grid = make_grid()
    signals = dict(grid.manifest.signals)
    signals["B0"] = signals["B0"].model_copy(update={"min_green_s": 7})
    other = dataclasses.replace(
        grid, manifest=grid.manifest.model_copy(update={"signals": signals})
    )
    assert key_of(other, decisions=JOINT) == key_of(grid, decisions=JOINT)


def test_reference_leaves_every_program_alone() -> None:
    """Also where somebody follows the decisions up; the same signals are watched."""
    plan = plan_rollouts(make_grid(), JOINT, RewardSpec(follow_up="max_pressure"), "1")
    _, reference = plan.rollouts.values()
    assert (reference.observe, reference.signal_decisions) == (("A0", "A1"), ())
    assert reference.follow_up == "program"


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
    """One per seed, and with each its reference, of the same seed, where the reward compares."""
    plan = plan_rollouts(make_state(GREEN), DECISIONS, reward, "1")
    planned = plan.rollouts.values()
    assert [(bool(each.signal_decisions), each.reseed) for each in planned] == rollouts
