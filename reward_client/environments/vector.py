"""Several hours at one signal, side by side, as a Gymnasium vector environment."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any

import gymnasium
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from reward_client.environments.single import SignalEnv
from reward_client.environments.source import EpisodeSource

__all__ = ["SignalVectorEnv"]

Step = tuple[Any, float, bool, bool, dict[str, Any]]


class SignalVectorEnv(SyncVectorEnv):  # type: ignore[misc]  # not needed to check types
    """Environments like :class:`SignalEnv`, stepped side by side.

    Each is a simulation in a process of its own, here or at the service; a thread waits for each.
    Batches, infos, seeds (``seed=1`` gives 1, 2, 3, …), masks of ``reset`` and the modes of
    autoreset are Gymnasium's own.

    Args:
        source: Begins episodes; all environments share it.
        num_envs: How many.
        autoreset_mode: What becomes of an environment at its end, as Gymnasium names it.
        asked: Fields of :class:`shared.wire.episodes.EpisodeRequest`.
    """

    def __init__(
        self,
        source: EpisodeSource,
        num_envs: int,
        autoreset_mode: str | AutoresetMode = "NextStep",
        **asked: object,
    ) -> None:
        self._threads = ThreadPoolExecutor(num_envs, thread_name_prefix="greenfork-env")
        mode = AutoresetMode(autoreset_mode)
        make = partial(_Ahead, source, asked, mode)
        try:
            super().__init__([make] * num_envs, autoreset_mode=mode)
        except BaseException:
            self._threads.shutdown()
            raise

    @property
    def _ahead(self) -> "Sequence[_Ahead]":
        envs: Sequence[_Ahead] = self.envs
        return envs

    def reset(
        self,
        *,
        seed: int | Sequence[int | None] | None = None,
        options: Any = None,  # noqa: ANN401
    ) -> tuple[Any, dict[str, Any]]:
        """Resets all, or those of ``options["reset_mask"]``."""
        seeds = [seed + n for n in range(self.num_envs)] if isinstance(seed, int) else seed
        mask = (options or {}).get("reset_mask")
        others = {k: v for k, v in (options or {}).items() if k != "reset_mask"}
        for n, env in enumerate(self._ahead):
            if mask is None or mask[n]:
                env.begin_reset(self._threads, seeds[n] if seeds else None, others)
        result: tuple[Any, dict[str, Any]] = super().reset(seed=seeds, options=options)
        return result

    def step(self, actions: Any) -> Any:  # noqa: ANN401
        """Steps all."""
        for env, action in zip(self._ahead, actions, strict=True):
            env.begin_step(self._threads, action)
        return super().step(actions)

    def close_extras(self, **kwargs: Any) -> None:  # noqa: ANN401
        """Gives the episodes up."""
        super().close_extras(**kwargs)
        self._threads.shutdown()


class _Ahead(gymnasium.Wrapper):  # type: ignore[misc]
    """An environment whose next call is begun by a thread, before it is asked for."""

    def __init__(
        self, source: EpisodeSource, asked: dict[str, object], mode: AutoresetMode
    ) -> None:
        super().__init__(SignalEnv(source, **asked))
        self._mode = mode
        self._is_over = False
        self._next: Future[Any] | None = None
        self._reset: tuple[Any, dict[str, Any]] | None = None

    def begin_reset(
        self, threads: ThreadPoolExecutor, seed: int | None, options: dict[str, Any]
    ) -> None:
        self._reset = None
        self._next = threads.submit(self.env.reset, seed=seed, options=options)

    def begin_step(self, threads: ThreadPoolExecutor, action: Any) -> None:  # noqa: ANN401
        if self._is_over and self._mode == AutoresetMode.NEXT_STEP:
            self._next = threads.submit(self.env.reset)
        else:
            self._next = threads.submit(self._step, action)

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:  # noqa: ANN401
        """What was begun, or what followed a step that was the last one."""
        self._is_over = False
        if self._reset is not None:
            done, self._reset = self._reset, None
            return done
        return self._taken(partial(self.env.reset, seed=seed, options=options))

    def step(self, action: Any) -> Step:  # noqa: ANN401
        """What was begun."""
        done: Step = self._taken(partial(self._step, action))
        self._is_over = done[2] or done[3]
        return done

    def _step(self, action: Any) -> Step:  # noqa: ANN401
        done: Step = self.env.step(action)
        if (done[2] or done[3]) and self._mode == AutoresetMode.SAME_STEP:
            self._reset = self.env.reset()
        return done

    def _taken(self, call: Callable[[], Any]) -> Any:  # noqa: ANN401
        begun, self._next = self._next, None
        return call() if begun is None else begun.result()
