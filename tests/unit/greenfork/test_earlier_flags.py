"""Commands of the earlier scripts are understood, and it is said what they are today."""

import json

import pytest

from greenfork.earlier_flags import todays_arguments
from greenfork.main import app


def _today(line: str) -> tuple[str, list[str]]:
    notes = list[str]()
    return " ".join(todays_arguments(line.split(), notes.append)), notes


@pytest.mark.parametrize(
    ("given", "today"),
    [
        (
            "train grpo --base_model m --data_root d --beta 0.04 --use_gradient_checkpointing",
            "train grpo --model-path m --dataset-path d --set kl_coeff=0.04 "
            "--set gradient_checkpointing=true",
        ),
        (
            "train grpo --no_4bit --temperature=0.7 --num_generations 8 --save_steps 10",
            "train grpo --set load_in_4bit=false --set temperature=0.7 --set num_generations=8 "
            "--set save_steps=10",
        ),
        (
            "train grpo --logging_steps 1 --gradient_accumulation_steps 2 --wandb_project p "
            "--run_name r",
            "train grpo --set logging_steps=1 --set gradient_accumulation_steps=2 "
            "--set wandb_project=p --set run_name=r",
        ),
        (
            "train offline --sft_ckpt m --beam_data=b --rce_epochs 1 --grpo_epochs 2 "
            "--output_dir o --max_samples 9 --dry_run",
            "train offline --sft-ckpt m --beam-data=b --rce-epochs 1 --grpo-epochs 2 "
            "--output-dir o --max-samples 9 --dry-run",
        ),
        ("dataset build x.sumocfg --eval_share 0", "dataset build x.sumocfg --eval-share 0"),
    ],
)
def test_an_earlier_command_is_todays(given: str, today: str) -> None:
    """With a line for each flag that is written otherwise."""
    found, notes = _today(given)
    assert found == today
    earlier = [word for word in given.split() if word.startswith("--")]
    assert len(notes) == len(earlier)
    assert all(
        note.startswith(f"note: {flag.partition('=')[0]}")
        for note, flag in zip(notes, earlier, strict=True)
    )


@pytest.mark.parametrize(
    "line",
    [
        "train grpo --model-path a_b --set kl_coeff=0.1 --json",
        "score --url http://x --input a_b.jsonl",
        "evaluate --temperature 0.5",
        "keys create --name a -- --beta 1",
        "--version",
    ],
)
def test_todays_commands_stay(line: str) -> None:
    """Values with underscores, flags of other commands, and what follows two dashes."""
    assert _today(line) == (line, [])


def test_the_command_takes_them(capsys: pytest.CaptureFixture[str]) -> None:
    """The note stands on standard error, so that --json stays JSON."""
    arguments = ["train", "offline", "--beam_data", "gone.jsonl", "--sft_ckpt", "gone", "--dry_run"]
    with pytest.raises(SystemExit):
        app([*arguments, "--json"])
    printed = capsys.readouterr()
    assert json.loads(printed.out)["error"]["code"] == "model_not_found"
    assert "note: --beam_data is --beam-data today" in printed.err
