"""Statistics of a ledger's contents."""

from collections import Counter
from dataclasses import dataclass

from sqlalchemy import URL, Connection, func, select, text

from reward_server.storage.reading import open_to_read
from reward_server.storage.tables import OUTCOMES
from reward_server.storage.urls import file_of

__all__ = ["LedgerStats", "count_ledger", "scenario_of"]


@dataclass(frozen=True)
class LedgerStats:
    """The contents of a ledger."""

    outcomes: int
    states: int
    """Number of different states from which outcomes start."""
    size_bytes: int
    """Size on disk, including indexes."""
    first_s: float | None
    """When the first outcome was recorded, in seconds since the epoch; None if there is none."""
    last_s: float | None
    """When the last outcome was recorded."""
    by_simulator: dict[str, int]
    by_scenario: dict[str, int]


def count_ledger(url: URL) -> LedgerStats:
    """Counts the outcomes of a ledger.

    Raises:
        ConfigError: There is no ledger.
        LedgerError: The ledger cannot be read.
    """
    grouped = select(
        OUTCOMES.c.state_id,
        OUTCOMES.c.simulator,
        func.count().label("number"),
        func.min(OUTCOMES.c.created_at).label("first_s"),
        func.max(OUTCOMES.c.created_at).label("last_s"),
    ).group_by(OUTCOMES.c.state_id, OUTCOMES.c.simulator)
    states: set[str] = set()
    simulators: Counter[str] = Counter()
    scenarios: Counter[str] = Counter()
    times: list[float] = []
    with open_to_read(url) as connection:
        size_bytes = _size(connection, url)
        for row in connection.execute(grouped):
            states.add(row.state_id)
            simulators[row.simulator] += row.number
            scenarios[scenario_of(row.state_id)] += row.number
            times += (row.first_s, row.last_s)
    return LedgerStats(
        outcomes=simulators.total(),
        states=len(states),
        size_bytes=size_bytes,
        first_s=min(times, default=None),
        last_s=max(times, default=None),
        by_simulator=dict(simulators.most_common()),
        by_scenario=dict(scenarios.most_common()),
    )


def scenario_of(state_id: str) -> str:
    """The name of a state's scenario.

    >>> scenario_of("crossing@300-b9c873928f38")
    'crossing'
    """
    return state_id.rpartition("@")[0] or state_id


def _size(connection: Connection, url: URL) -> int:
    path = file_of(url)
    if path is None:
        query = text("SELECT pg_total_relation_size('outcomes')")
        return int(connection.execute(query).scalar_one())
    files = (path, path.with_name(f"{path.name}-wal"))
    return sum(file.stat().st_size for file in files if file.exists())
