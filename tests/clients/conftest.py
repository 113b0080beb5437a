"""One served dataset for all clients, and its rows as the documentation writes them for each."""

import contextlib
import json
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.clients.environments import python_of
from tests.integration.conftest import dataset_of
from tests.integration.reward_server.serving import served
from tests.unit.test_integrations import names_of

__all__ = ["dataset_of"]

collect_ignore_glob = ["*_client.py"]

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
ROWS = 3
ANSWERS = {'{"extend": "yes"}': True, '{"extend": "no"}': False}
NONSENSE = "The queue in the north is long."
UNKNOWN = "crossing@300-000000000000"


@dataclass(frozen=True)
class Samples:
    """What a client is asked to have scored: rows in its own format, each with a completion."""

    right: list[dict[str, Any]]
    rewards: list[float]
    """Of ``right``, as the dataset stores them: ``queue`` over 60 s."""
    invalid: dict[str, Any]
    """A row with a completion that is no decision."""
    unknown: dict[str, Any]
    """A row of a state that is in no dataset."""


@dataclass(frozen=True)
class Client:
    """A client's process, in its own environment."""

    process: subprocess.Popen[str]
    answer: Path
    """The file that it writes."""

    def ask(self, question: object) -> Any:  # noqa: ANN401
        """Question and answer in JSON; a client is asked once."""
        self.process.communicate(json.dumps(question), timeout=600)
        assert self.process.returncode == 0
        return json.loads(self.answer.read_text())


@pytest.fixture(scope="session")
def clients(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[dict[str, Client]]:
    """Those that are tested now, by name: they import for long, and meanwhile a service gets
    ready.
    """
    answers, started = tmp_path_factory.mktemp("answers"), {}
    tested = {item.path.stem.removeprefix("test_") for item in request.session.items}
    for pins in (one for one in HERE.glob("*.txt") if one.stem in tested):
        answer = answers / f"{pins.stem}.json"
        script = f"tests.clients.{pins.stem}_client"
        command = [str(python_of(pins)), "-m", script, str(answer)]
        process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, text=True)
        started[pins.stem] = Client(process, answer)
    yield started
    for client in started.values():
        with client.process as process:
            process.kill()


@pytest.fixture(scope="session")
def url(
    clients: dict[str, Client],
    dataset_of: Callable[[str], Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[str]:
    """The reward service."""
    data_dir = tmp_path_factory.mktemp("gateway") / "data"
    with served(dataset_of("crossing"), data_dir=data_dir) as url:
        yield url


@pytest.fixture(scope="session")
def samples_of(
    dataset_of: Callable[[str], Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[[str], Samples]:
    """The samples of a client, from the file that the script in docs/integrations.md writes."""
    folder = tmp_path_factory.mktemp("rows")
    (folder / "datasets").mkdir()
    (folder / "datasets" / "crossing").symlink_to(dataset_of("crossing"))
    with contextlib.chdir(folder):
        names_of("rows")
    stored = read(folder / "datasets" / "crossing" / "train.jsonl")[:ROWS]

    def samples(client: str) -> Samples:
        rows = read(folder / f"{client}.jsonl")
        assert len(rows) >= len(stored)
        other = json.loads(json.dumps(rows[0]).replace(stored[0]["state_id"], UNKNOWN))
        assert other != rows[0]
        yes = next(iter(ANSWERS))
        return Samples(
            right=[{"row": row, "text": text} for row in rows[:ROWS] for text in ANSWERS],
            rewards=[reward(row, extend) for row in stored for extend in ANSWERS.values()],
            invalid={"row": rows[0], "text": NONSENSE},
            unknown={"row": other, "text": yes},
        )

    return samples


def read(path: Path) -> list[dict[str, Any]]:
    """Lines of JSON."""
    return [json.loads(line) for line in path.read_text().splitlines()]


def reward(row: dict[str, Any], extend: bool) -> float:
    """The reward of a dataset's row that follows from its stored outcome."""
    decision = {"kind": "extend", "extend": extend, "extend_s": 5}
    (metrics,) = [o["metrics"] for o in row["outcomes"] if o["decision"] == decision]
    return -float(metrics["queue_veh"])
