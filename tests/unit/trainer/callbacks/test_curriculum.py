"""The console says what the curriculum draws, when it changes and with each line of metrics."""

import io
from types import SimpleNamespace
from typing import cast

from rich.console import Console
from transformers import TrainerControl, TrainerState, TrainingArguments

from trainer.callbacks.curriculum import CurriculumCallback
from trainer.curriculum.batches import Curriculum
from trainer.curriculum.schedule import get_curriculum_weights

_ARGS = cast("TrainingArguments", None)


def test_weights_are_said_at_every_change_and_logging_step() -> None:
    """In a run of 1,000 steps that logs every 250."""
    curriculum = SimpleNamespace(weights=lambda step: get_curriculum_weights(step, 1000))
    text = io.StringIO()
    console = Console(file=text, width=200)
    callback = CurriculumCallback(cast("Curriculum", curriculum), console)
    for step in range(1000):
        state = TrainerState(global_step=step, max_steps=1000)
        callback.on_step_begin(_ARGS, state, TrainerControl())
        if step and step % 250 == 0:
            callback.on_log(_ARGS, state, TrainerControl(), logs={"loss": 0.0})
    callback.on_log(_ARGS, TrainerState(), TrainerControl(), logs={"train_runtime": 1.0})
    assert text.getvalue().splitlines() == [
        "step 0/1000: curriculum easy 70 % medium 25 % hard 5 %",
        "step 250/1000: curriculum easy 70 % medium 25 % hard 5 %",
        "step 300/1000: curriculum easy 40 % medium 40 % hard 20 %",
        "step 500/1000: curriculum easy 40 % medium 40 % hard 20 %",
        "step 700/1000: curriculum easy 20 % medium 40 % hard 40 %",
        "step 750/1000: curriculum easy 20 % medium 40 % hard 40 %",
    ]
