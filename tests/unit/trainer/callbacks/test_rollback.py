"""The checkpoint of a run whose next step could not be made."""

import random
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_callback import CallbackHandler

from trainer.callbacks.control import OriginCallback
from trainer.callbacks.rollback import RewindCallback
from trainer.runs.origin import ModelOrigin

ORIGIN = ModelOrigin(model_path="m", fingerprint="0f", lora_rank=4, lora_alpha=8)


class _Trainer(SimpleNamespace):
    """What is needed of a trainer that has made three steps."""

    def __init__(self, folder: Path, *callbacks: TrainerCallback) -> None:
        handler: Any = CallbackHandler
        super().__init__(
            model=None,
            args=TrainingArguments(output_dir=str(folder), use_cpu=True),
            state=TrainerState(global_step=3),
            control=TrainerControl(),
            callback_handler=handler(list(callbacks), None, None, None, None),
        )

    def _save_checkpoint(self, model: object, trial: object) -> None:
        folder = Path(self.args.output_dir) / "checkpoint-3"
        folder.mkdir(parents=True)
        (folder / "drawn").write_text(str(random.random()))


def test_says_which_model_it_goes_on_from(tmp_path: Path) -> None:
    """And is of the random state after the step that was made, whatever was drawn since."""
    rewind = RewindCallback()
    trainer = _Trainer(tmp_path, OriginCallback(ORIGIN))
    random.seed(5)
    rewind.on_step_end(trainer.args, trainer.state, trainer.control)
    drawn = random.random()

    saved = rewind.save(cast("Any", trainer))

    assert saved == tmp_path / "checkpoint-3"
    assert ModelOrigin.model_validate_json((saved / "origin.json").read_bytes()) == ORIGIN
    assert (saved / "drawn").read_text() == str(drawn)


def test_without_a_step_there_is_nothing_to_save(tmp_path: Path) -> None:
    """What the run began with is still there."""
    assert RewindCallback().save(cast("Any", _Trainer(tmp_path))) is None
    assert not list(tmp_path.iterdir())
