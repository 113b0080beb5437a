"""A real gateway on a real PostgreSQL server that dies and comes back."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.integration.conftest import read_rows
from tests.integration.reward_server.postgres import PostgresServer
from tests.integration.reward_server.serving import served


def test_gateway_outlives_its_database(
    dataset_of: Callable[[str], Path],
    tmp_path: Path,
    postgres: PostgresServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """While it is away, nothing new is answered, and may be sent again; afterwards all is well."""
    monkeypatch.setenv("GREENFORK_SERVER_DATABASE_URL", postgres.new_database())
    dataset, data_dir = dataset_of("crossing"), tmp_path / "data"
    first, second, *_ = read_rows(dataset)
    with served(dataset, data_dir=data_dir) as url:
        scored = _score(url, first)
        postgres.stop("immediate")
        try:
            known, unknown = _score(url, first), _score(url, second)
        finally:
            postgres.start()
        again, new = _score(url, first), _score(url, second)
    assert (scored["status"], scored["cached"]) == ("scored", False)
    assert known["reward"] in (scored["reward"], None), "from memory, or not at all"
    assert (unknown["status"], unknown["reward"]) == ("failed", None)
    assert unknown["error"]["code"] == "ledger_unavailable"
    assert unknown["error"]["retryable"]
    assert (again["reward"], again["cached"]) == (scored["reward"], True)
    assert (new["status"], new["cached"]) == ("scored", False)
    assert not (data_dir / "ledger.sqlite").exists()


def _score(url: str, row: dict[str, Any]) -> dict[str, Any]:
    decision = {"kind": "extend", "extend": True}
    item = {"state_id": row["state_id"], "tls_id": row["tls_id"], "decision": decision}
    answer = httpx.post(f"{url}/v1/score", json={"items": [item]}, timeout=60).raise_for_status()
    (result,) = answer.json()["results"]
    assert isinstance(result, dict)
    return result
