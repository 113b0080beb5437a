"""The product as a user meets it: ``greenfork dataset build``, ``greenfork serve``, HTTP.

The only module here that knows the product, and it knows it by its command line and its wire.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tests.fuzz.scenario import ENVIRONMENT, Settings

__all__ = ["Built", "Command", "Refused", "Row", "build", "in_a_process", "score", "served"]

Command = Callable[[list[str]], "subprocess.CompletedProcess[str]"]
_GREENFORK = (sys.executable, "-c", "from greenfork.main import app; app()")
_LIMIT_S = 240
_ITEMS_A_REQUEST = 200


@dataclass(frozen=True)
class Row:
    """One row of a dataset."""

    state_id: str
    tls_id: str
    time_s: float
    restore: str
    fidelity: str | None
    phase: int
    elapsed_s: float
    min_green_s: float
    max_green_s: float
    outcomes: tuple[tuple[dict[str, Any], dict[str, Any]], ...]
    """Each legal decision with its metrics."""


@dataclass(frozen=True)
class Built:
    """A dataset that was built."""

    folder: Path
    rows: tuple[Row, ...]
    actions: tuple[tuple[float, str, float], ...]


@dataclass(frozen=True)
class Refused:
    """Why there is no dataset."""

    code: str
    """``crashed`` where it has none."""
    message: str


def in_a_process(arguments: list[str]) -> "subprocess.CompletedProcess[str]":
    """Runs the command as a user does.

    Raises:
        TimeoutExpired: It takes too long.
    """
    return subprocess.run(
        [*_GREENFORK, *arguments],
        capture_output=True,
        text=True,
        timeout=_LIMIT_S,
        env=os.environ | ENVIRONMENT,
        check=False,
    )


def build(config: Path, out: Path, asked: Settings, run: Command = in_a_process) -> Built | Refused:
    """Builds a dataset with all outcomes; ``run`` runs the command."""
    options = {
        "--out": out,
        "--warmup": asked.warmup_s,
        "--every": asked.every_s,
        "--states": asked.states,
        "--horizon": asked.horizon_s,
        "--kind": asked.kind,
        "--policy": asked.policy,
        "--workers": 1,
    } | ({} if asked.seed is None else {"--seed": asked.seed})
    given = [str(word) for option in options.items() for word in option]
    given += [word for tls_id in asked.tls_ids for word in ("--tls", tls_id)]
    given += ["--only-replays"] if asked.only_replays else []
    command = ["dataset", "build", str(config), *given, "--outcomes", "--json"]
    try:
        done = run(command)
    except subprocess.TimeoutExpired:
        return Refused("too_slow", f"no dataset after {_LIMIT_S} s")
    said = _last_json(done.stdout)
    if done.returncode != 0:
        error = said.get("error") or {
            "code": "crashed",
            "message": (done.stderr or done.stdout).strip()[-1500:],
        }
        return Refused(str(error["code"]), str(error["message"]))
    return Built(out, tuple(_rows(out)), tuple(_actions(out, said["manifest"])))


def _last_json(text: str) -> dict[str, Any]:
    for line in reversed(text.splitlines()):
        try:
            found = json.loads(line)
        except ValueError:
            continue
        if isinstance(found, dict):
            return found
    return {}


def _rows(dataset: Path) -> Iterator[Row]:
    for split in ("train", "eval"):
        for line in (dataset / f"{split}.jsonl").read_text().splitlines():
            row = json.loads(line)
            yield Row(
                state_id=row["state_id"],
                tls_id=row["tls_id"],
                time_s=row["time_s"],
                restore=row["restore"],
                fidelity=row.get("fidelity"),
                phase=row["current_phase"],
                elapsed_s=row["elapsed_green_s"],
                min_green_s=row["min_green_s"],
                max_green_s=row["max_green_s"],
                outcomes=tuple((each["decision"], each["metrics"]) for each in row["outcomes"]),
            )


def _actions(dataset: Path, manifest: dict[str, Any]) -> Iterator[tuple[float, str, float]]:
    file = manifest["simulation"].get("actions")
    if file is None:
        return
    for line in (dataset / file).read_text().splitlines():
        action = json.loads(line)
        yield action["time_s"], action["tls_id"], action["remaining_s"]


@contextmanager
def served(datasets: Sequence[Path], data_dir: Path) -> Iterator[httpx.Client]:
    """One service for many datasets, with one worker."""
    given = [word for dataset in datasets for word in ("--dataset", str(dataset))]
    given += ["--data-dir", str(data_dir), "--port", "0", "--workers", "1", "--json"]
    server = subprocess.Popen(
        [*_GREENFORK, "serve", *given],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=os.environ,
        text=True,
    )
    assert server.stdout is not None
    try:
        messages = (json.loads(line)["message"] for line in server.stdout)
        url = next(each.split()[-1] for each in messages if each.startswith("ready"))
        with httpx.Client(base_url=url, timeout=_LIMIT_S) as client:
            yield client
    finally:
        server.terminate()
        server.wait(timeout=60)
        server.stdout.close()


def score(
    client: httpx.Client, items: Sequence[tuple[Row, dict[str, Any]]], horizon_s: int
) -> list[dict[str, Any]]:
    """The results of ``POST /v1/score``, in the order of the items."""
    results: list[dict[str, Any]] = []
    for first in range(0, len(items), _ITEMS_A_REQUEST):
        body = {
            "items": [
                {"state_id": row.state_id, "tls_id": row.tls_id, "decision": decision}
                for row, decision in items[first : first + _ITEMS_A_REQUEST]
            ],
            "reward": {"name": "queue", "horizon_s": horizon_s},
            "timeout_s": 120,
            "series": True,
        }
        answer = client.post("/v1/score", json=body)
        answer.raise_for_status()
        results += answer.json()["results"]
    return results
