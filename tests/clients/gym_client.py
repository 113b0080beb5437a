"""Gymnasium's and PettingZoo's own checkers, and a training by Stable-Baselines3.

Runs in the environment of ``gym.txt``. Reads from standard input where episodes come from, and
writes for each check nothing, or how it failed.
"""

import json
import sys
import traceback
import warnings
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode
from pettingzoo.test import parallel_api_test, parallel_seed_test

from greenfork.gym import (
    LocalEpisodes,
    ServiceEpisodes,
    SignalEnv,
    SignalsParallelEnv,
    SignalVectorEnv,
)
from reward_client.environments.source import EpisodeSource

END_S = 200
UNBOUNDED = ".*maximum value is infinity.*"
"""Gymnasium wonders at that, and a number of vehicles has no bound."""
WITHOUT_SPEC = ".*does? not have a spec.*|.*without a spec.*|.*not having a spec.*"


def check_one(source: EpisodeSource, **asked: object) -> None:
    """Gymnasium's checker."""
    env = SignalEnv(source, end_s=END_S, **asked)
    check_env(env)
    env.close()


def check_many(source: EpisodeSource, **asked: object) -> None:
    """PettingZoo's checkers."""
    make = partial(SignalsParallelEnv, source, end_s=END_S, **asked)
    env = make()
    parallel_api_test(env, num_cycles=100)
    env.close()
    parallel_seed_test(make, num_cycles=5)


def check_batch(source: EpisodeSource, mode: AutoresetMode) -> None:
    """A batch sees, step by step, what its environments see alone; also beyond the end."""
    seeds, actions = [3, 4], np.random.default_rng(0).integers(0, 2, (5, 2))
    envs = SignalVectorEnv(source, 2, mode, end_s=40)
    assert envs.metadata["autoreset_mode"] == mode
    alone = [SignalEnv(source, end_s=40) for _ in seeds]
    seen, _ = envs.reset(seed=seeds)
    for env, seed, row in zip(alone, seeds, seen, strict=True):
        assert np.array_equal(env.reset(seed=seed)[0], row)
    is_over = False
    info: dict[str, Any] = {}
    for action in actions:
        seen, rewards, _, truncated, infos = envs.step(action)
        for n, env in enumerate(alone):
            if is_over and mode == AutoresetMode.NEXT_STEP:
                own, reward, over = env.reset()[0], 0.0, False
            else:
                own, reward, _, over, info = env.step(action[n])
            if over and mode == AutoresetMode.SAME_STEP:
                assert np.array_equal(own, infos["final_obs"][n])
                assert infos["final_info"]["figures"]["vehicles"][n] == info["figures"]["vehicles"]
                own = env.reset()[0]
            assert np.array_equal(own, seen[n])
            assert (reward, over) == (rewards[n], truncated[n])
        is_over = bool(truncated.any())
    envs.close()
    for env in alone:
        env.close()


def check_seeds(source: EpisodeSource, **asked: object) -> None:
    """The same seed gives the same run, another one another."""
    env, seen = SignalEnv(source, end_s=END_S, **asked), []
    for seed in (7, 7, 8):
        env.reset(seed=seed)
        steps = [env.step(n % 2) for n in range(15)]
        seen.append([(step[0].tolist(), step[1]) for step in steps])
    env.close()
    assert seen[0] == seen[1]
    assert seen[0] != seen[2]


def check_both_ways(local: EpisodeSource, service: EpisodeSource) -> None:
    """An hour's begin in this process and at the service, to the last bit."""
    told = []
    for source in (local, service):
        env = SignalEnv(source, end_s=END_S)
        seen: list[object] = [env.reset(seed=7)]
        over = False
        while not over:
            *step, over, info = env.step(len(seen) % 2)
            seen.append((*step, over, info))
        env.close()
        told.append(repr(seen))
    assert told[0] == told[1]
    assert "figures" in told[0]


def check_state(service: EpisodeSource, state_id: str, time_s: float) -> None:
    """A reset begins from a saved state, as often as it is asked for."""
    env, told = SignalEnv(service), []
    for seed in (1, 2):
        options = {"episode": {"state_id": state_id, "end_s": time_s + 30}}
        seen, info = env.reset(seed=seed, options=options)
        assert info["time_s"] == time_s
        told.append([seen.tolist(), *(env.step(0)[1] for _ in range(3))])
    env.close()
    assert told[0] == told[1], "a state has its own seed"


def ran(example: str, **names: object) -> dict[str, Any]:
    """What an example of the documentation defines."""
    exec(compile(example, "example", "exec"), names)  # noqa: S102
    return names


def check_example_gym(example: str, **names: object) -> None:
    """It comes to the end of an episode."""
    found = ran(example, KEY=None, END_S=END_S, **names)
    assert found["info"]["time_s"] == END_S


def check_example_pettingzoo(example: str, grid: str) -> None:
    """It comes to the end of an episode with all signals."""
    found = ran(example, GRID=grid, END_S=END_S)
    assert len(found["truncations"]) == 4
    assert all(found["truncations"].values())


def check_example_trl(example: str, **names: object) -> None:
    """Its environment plays as TRL lets it play."""
    found = ran(example, END_S=60, **names)
    env, told = found["environment_factory"](), []
    for row in found["rows"][:2]:
        assert "queued" in env.reset(**row)
        assert "queued" in env.show_phase(2)
        assert "Invalid" in env.show_phase(99)
        told.append(env.get_reward())
    found["episodes"].close()
    assert told[0] != told[1], "the rows have other seeds"


def check_training(example: str, config: str) -> None:
    """The example of the documentation trains, and its policy is better than before."""
    names = ran(example, CONFIG=config)
    before, after = names["before"], names["after"]
    assert names["model"].num_timesteps >= 2000
    assert after > before, f"from {before} to {after}"


def checks(question: dict[str, Any], parts: ExitStack) -> dict[str, Callable[[], None]]:
    """All of them, by name."""
    crossing = parts.enter_context(LocalEpisodes(question["crossing"]))
    grid = parts.enter_context(LocalEpisodes(question["grid"]))
    service = parts.enter_context(ServiceEpisodes(question["url"], question["scenario_id"]))
    program, reward = {"preset": "program"}, {"name": "queue"}
    examples = question["examples"]
    names = {"URL": question["url"], "SCENARIO": question["scenario_id"]}
    return {
        "one": partial(check_one, crossing),
        "one_extending": partial(check_one, crossing, control=program, reward=reward),
        "one_at_the_service": partial(check_one, service),
        "many": partial(check_many, grid),
        "many_extending": partial(check_many, grid, control=program),
        "batch_next_step": partial(check_batch, crossing, AutoresetMode.NEXT_STEP),
        "batch_same_step": partial(check_batch, crossing, AutoresetMode.SAME_STEP),
        "batch_at_the_service": partial(check_batch, service, AutoresetMode.NEXT_STEP),
        "seeds": partial(check_seeds, crossing),
        "both_ways": partial(check_both_ways, crossing, service),
        "state": partial(check_state, service, question["state_id"], question["time_s"]),
        "example_gym": partial(check_example_gym, examples["gym"], **names),
        "example_pettingzoo": partial(
            check_example_pettingzoo, examples["pettingzoo"], question["grid"]
        ),
        "example_trl": partial(check_example_trl, examples["trl"], **names),
        "training": partial(check_training, examples["sb3"], question["crossing"]),
    }


def failure(check: Callable[[], None]) -> str | None:
    """How a check failed; warnings count."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            warnings.filterwarnings("ignore", UNBOUNDED)
            warnings.filterwarnings("ignore", WITHOUT_SPEC)
            check()
    except Exception:  # noqa: BLE001  whatever it is, it is told
        return traceback.format_exc()
    return None


if __name__ == "__main__":
    with ExitStack() as stack:
        all_checks = checks(json.load(sys.stdin), stack)
        told = {name: failure(check) for name, check in all_checks.items()}
    Path(sys.argv[1]).write_text(json.dumps(told))
