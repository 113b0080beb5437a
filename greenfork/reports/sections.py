"""What a report tells of a training run's folder; results are :mod:`greenfork.reports.results`."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from greenfork.reports.numbers import is_number
from greenfork.reports.page import Chart, Curve, Sample, Section, Table
from greenfork.reports.results import section_of_control, section_of_evaluation
from shared.errors import InputError

__all__ = ["section_of"]

_METRICS, _SAMPLES, _CONFIG = "metrics.jsonl", "samples.jsonl", "config.yaml"
_MOST_POINTS = 500
"""Of a curve; longer ones are thinned out."""
_MOST_SAMPLES = 100
_CURVES: tuple[tuple[str, tuple[tuple[str, str], ...]], ...] = (
    ("Reward", (("reward", "reward"),)),
    ("Loss", (("loss", "loss"), ("eval_loss", "validation"))),
    ("Regret, vehicles", (("outcomes/regret_veh", "regret"),)),
    ("Share of answers", (("outcomes/invalid", "invalid"), ("outcomes/yes", "yes"))),
    ("Groups without variance", (("outcomes/zero_variance_groups", "share"),)),
    ("KL", (("kl", "KL"),)),
    ("Entropy", (("entropy", "entropy"),)),
    ("Policy loss", (("policy_loss", "training"), ("eval_policy_loss", "validation"))),
    ("Tokens right", (("mean_token_accuracy", "training"),)),
    ("Seconds a step", (("step_seconds", "seconds"),)),
    ("Share of time waiting for rewards", (("reward_service/waited_share", "share"),)),
)
_SETTINGS = (
    "model_path",
    "dataset_path",
    "output_dir",
    "reward_url",
    "reward",
    "max_steps",
    "seed",
)


def section_of(path: Path) -> Section:
    """What there is to tell of a folder or a file.

    Raises:
        InputError: It is neither a run nor a result.
    """
    if path.is_dir():
        return _of_run(path)
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as exc:
        raise InputError(f"cannot read {path}: {exc}") from exc
    if isinstance(found, dict) and "controllers" in found:
        return section_of_control(path.stem, found)
    if isinstance(found, dict) and "policies" in found:
        return section_of_evaluation(path.stem, found)
    raise InputError(
        f"{path} is no result: give a training run's folder, or what `greenfork evaluate --json` "
        "or `greenfork control --json` printed"
    )


def _of_run(folder: Path) -> Section:
    metrics = _json_lines(folder / _METRICS)
    if not metrics:
        raise InputError(
            f"{folder} holds no training run: there is no {_METRICS}, or nothing in it yet"
        )
    steps = [line for line in metrics if isinstance(line.get("step"), int | float)]
    charts = [chart for title, curves in _CURVES if (chart := _chart(title, curves, steps))]
    settings = _settings(folder / _CONFIG)
    kinds = sorted({name for line in steps for name in line if name.startswith("invalid/")})
    last = steps[-1]
    figures = [("Steps", f"{last['step']:g}")]
    figures += [
        (label, f"{last[name]:.3g}")
        for name, label in (
            ("reward", "Reward at the end"),
            ("outcomes/regret_veh", "Regret at the end"),
            ("outcomes/invalid", "Invalid at the end"),
            ("num_tokens", "Tokens"),
        )
        if is_number(last.get(name))
    ]
    tables = []
    if kinds:
        rows = [[name.removeprefix("invalid/"), *_first_and_last(steps, name)] for name in kinds]
        tables.append(Table("Invalid answers by code", ["Code", "First", "Last"], rows))
    hints = _json_lines(folder / "hints.jsonl")
    if hints:
        told = [[f"{one.get('step', '')}", f"{one.get('hint', '')}"] for one in hints]
        tables.append(Table("Hints", ["Step", "Hint"], told, numbers_from=2))
    if settings:
        tables.append(Table("Settings", ["Setting", "Value"], settings, 2, is_folded=True))
    title = f"Training: {folder.resolve().name}"
    note = "Curves by optimizer step, as they were logged."
    return Section(title, note, figures, charts, tables, _samples(folder / _SAMPLES))


def _chart(
    title: str, curves: Sequence[tuple[str, str]], steps: Sequence[Mapping[str, Any]]
) -> Chart | None:
    """The curves of which there is anything, at most two; None where there is nothing."""
    known = [pair for pair in curves if any(is_number(line.get(pair[0])) for line in steps)]
    if not known:
        return None
    thin = max(1, math.ceil(len(steps) / _MOST_POINTS))
    kept = steps[::thin]
    every = (kept[-1]["step"] - kept[0]["step"]) / max(1, len(kept) - 1)
    series = [
        Curve(name, [line[key] if is_number(line.get(key)) else None for line in kept])
        for key, name in known[:2]
    ]
    joined = [Curve(one.name, _without_gaps(one.values)) for one in series]
    return Chart(title, joined, begin=kept[0]["step"], step=every or 1)


def _without_gaps(values: Sequence[float | None]) -> list[float | None]:
    """What is logged now and then, as a validation is, stays as it was until the next time."""
    held: float | None = None
    found = []
    for value in values:
        held = held if value is None else value
        found.append(held)
    return found


def _first_and_last(steps: Sequence[Mapping[str, Any]], name: str) -> tuple[str, str]:
    values = [line[name] for line in steps if is_number(line.get(name))]
    return f"{values[0]:.1%}", f"{values[-1]:.1%}"


def _samples(path: Path) -> list[Sample]:
    lines = _json_lines(path)
    thin = max(1, math.ceil(len(lines) / _MOST_SAMPLES))
    return [
        Sample(
            step=int(line["step"]),
            prompt=[{"role": m["role"], "content": m["content"]} for m in line["prompt"]],
            answer=str(line["answer"]),
            status=str(line["status"]),
            reward=line["reward"] if is_number(line["reward"]) else None,
        )
        for line in lines[::thin]
    ]


def _settings(path: Path) -> list[list[str]]:
    import yaml

    if not path.is_file():
        return []
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as exc:
        raise InputError(f"cannot read {path}: {exc}") from exc
    if not isinstance(found, dict):
        return []
    names = [name for name in dict.fromkeys((*_SETTINGS, *found)) if name in found]
    return [[name, json.dumps(found[name], default=str)] for name in names]


def _json_lines(path: Path) -> list[dict[str, Any]]:
    """The lines of a file, without a truncated last one; none where there is no file."""
    if not path.is_file():
        return []
    lines: list[dict[str, Any]] = []
    for text in path.read_text(encoding="utf-8").splitlines():
        try:
            lines.append(json.loads(text))
        except ValueError:
            break
    return lines
