"""The trainings that are compared, as commands, and where each leaves its model."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.learning.commands import Command
from benchmarks.learning.plan import Plan

__all__ = ["CONTROL", "WARM_START", "Trainings", "grpo_name"]

WARM_START = "warm-start"
BEST = "sft-best"
OFFLINE = "offline"
CONTROL = "grpo-shuffled"


def grpo_name(seed: int) -> str:
    """Of a GRPO run with rewards as they are.

    >>> grpo_name(1)
    'grpo-1'
    """
    return f"grpo-{seed}"


@dataclass(frozen=True)
class Trainings:
    """The trainings of a plan, under a folder. All but the first start from the warm start."""

    plan: Plan
    out: Path

    @property
    def names(self) -> list[str]:
        """Of all, in the order of tables."""
        return [WARM_START, BEST, OFFLINE, *map(grpo_name, self.plan.seeds), CONTROL]

    def model(self, name: str) -> Path:
        """The folder of a training's model."""
        return self.out / name / "model"

    def warm_start(self) -> Command:
        """Makes the small model, and teaches it to read and to follow a noisy rule."""
        arguments = ("train", "sft", "--config", "warm-start", *self._places(WARM_START))
        return self._command(WARM_START, arguments + _set(self.plan.warm_start))

    def compared(self, url: str) -> list[Command]:
        """All others: by GRPO through the URL, and from what the dataset's rows know.

        Args:
            url: Of a reward service that serves the training states.
        """
        runs = [self.grpo(grpo_name(seed), seed, url) for seed in self.plan.seeds]
        control = self.grpo(CONTROL, self.plan.seeds[0], url, ("shuffle_rewards=true",))
        return [*runs, control, self._best(), self._offline()]

    def grpo(self, name: str, seed: int, url: str, settings: Sequence[str] = ()) -> Command:
        """One GRPO run.

        Args:
            name: Of its folder.
            seed: Its seed.
            url: The reward service.
            settings: Over those of the plan.
        """
        arguments = ("train", "grpo", "--config", "small", *self._from_warm_start(name))
        own = ("--reward-url", url, "--seed", str(seed))
        return self._command(name, arguments + own + _set((*self.plan.grpo, *settings)))

    def _best(self) -> Command:
        arguments = ("train", "sft", "--config", "warm-start", *self._from_warm_start(BEST))
        settings = _set(("lora_rank=0", *self.plan.best))
        return self._command(BEST, (*arguments, "--source", "best", *settings))

    def _offline(self) -> Command:
        model, data = str(self.model(WARM_START)), str(self.out / "train")
        arguments = ("train", "offline", "--config", "offline-small", "--sft-ckpt", model)
        places = ("--beam-data", data, "--output-dir", str(self.out / OFFLINE))
        return self._command(OFFLINE, arguments + places + _set(self.plan.offline))

    def _command(self, name: str, arguments: tuple[str, ...]) -> Command:
        """Begun anew where it was interrupted: what it takes is minutes."""
        return Command(name, arguments, output=self.out / name)

    def _from_warm_start(self, name: str) -> tuple[str, ...]:
        return ("--model-path", str(self.model(WARM_START)), *self._places(name))

    def _places(self, name: str) -> tuple[str, ...]:
        return ("--dataset-path", str(self.out / "train"), "--output-dir", str(self.out / name))


def _set(settings: Sequence[str]) -> tuple[str, ...]:
    return tuple(word for setting in settings for word in ("--set", setting))
