"""A curriculum's batches in the order in which TRL's trainer reads them.

The only module here that knows TRL. The sampler presents a whole run as one epoch: Transformers
resumes a run by skipping as many batches as were trained, which is exact only within one epoch.
The sampler depends on no state of the trainer, so that prefetched batches are correct as well.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from torch.utils.data import Sampler
from trl.trainer.utils import RepeatSampler

from shared.errors import ConfigError
from trainer.curriculum.batches import Curriculum

if TYPE_CHECKING:
    from trl import GRPOTrainer

__all__ = ["CurriculumSampler", "curriculum_trainer"]


class CurriculumSampler(Sampler[int]):
    """Yields rows, repeated for each completion of a group and each forward pass of a step.

    Args:
        curriculum: The batches.
        num_generations: Completions per prompt.
        repeats: Forward passes that share a generation batch.
    """

    def __init__(self, curriculum: Curriculum, num_generations: int, repeats: int) -> None:
        self._order = [row for rows in curriculum.batches() for row in rows]
        self._places = RepeatSampler(
            self._order,
            mini_repeat_count=num_generations,
            batch_size=curriculum.prompts,
            repeat_count=repeats,
            shuffle=False,
        )

    def __iter__(self) -> Iterator[int]:
        return (self._order[place] for place in self._places)

    def __len__(self) -> int:
        return len(self._places)


def curriculum_trainer(curriculum: Curriculum, trainer: "type[GRPOTrainer]") -> "type[GRPOTrainer]":
    """A trainer with a curriculum's sampler.

    Args:
        curriculum: Must have as many steps as the trainer's ``max_steps``, and as many prompts per
            step as its generation batch holds.
        trainer: TRL's trainer, or a subclass of it.
    """

    class CurriculumGRPOTrainer(trainer):  # type: ignore[misc]
        """GRPO on the batches of a curriculum."""

        def _get_train_sampler(self, dataset: object = None) -> Sampler[int]:
            prompts = self.args.generation_batch_size // self.num_generations
            if prompts != curriculum.prompts:
                raise ConfigError(
                    f"the curriculum has {curriculum.prompts} prompts per step, the trainer "
                    f"{prompts}"
                    "; start several ranks with torchrun or accelerate launch"
                )
            repeats = self.num_iterations * self.args.steps_per_generation
            return CurriculumSampler(curriculum, self.num_generations, repeats)

    return CurriculumGRPOTrainer
