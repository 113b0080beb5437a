"""``python -m benchmarks.gateway``: scoring over HTTP, beside what HTTP and the engine cost alone.

*Cached*: items per second of a gateway that knows the answers, beside those of a bare FastAPI and
pydantic application that reads the same body and sends it back. Both run as one process; the load
comes from one connection at a time over a raw socket, so that the client costs next to nothing. The
two are measured in turns.

*Uncached*: wall time of a batch of states and completions that the gateway has never seen, beside
that of the engine alone for the distinct rollouts behind it, with as many workers.

*Memory*: of the gateway, before and after a million cached items.
"""

import argparse
import json
import socket
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks.datasets import build, options_of, rows_of
from benchmarks.gateway.echo import EchoServer
from benchmarks.gateway.engine_alone import engine_alone_s
from benchmarks.gateways import GatewayServer
from benchmarks.records import append

__all__ = ["main"]

_BATCHES = (1, 64, 512)
_COMPLETIONS = ('{"extend": "yes"}', '{"extend": "no"}')
_SECONDS_A_ROUND = 1.0
_PROGRESS = Console(stderr=True)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures, prints a table, appends a JSON line."""
    parser = options_of(__doc__, states=64)
    parser.add_argument("--rounds", type=int, default=7, help="rounds of each measurement")
    parser.add_argument("--workers", type=int, default=2, help="simulation workers")
    parser.add_argument("--million", type=int, default=1_000_000, help="items of the memory test")
    options = parser.parse_args(arguments)
    found: dict[str, Any] = {"network": options.network, "workers": options.workers}
    with tempfile.TemporaryDirectory() as folder:
        dataset = Path(folder) / options.network
        build(options.network, dataset, states=options.states)
        pairs = [(row["state_id"], row["tls_id"]) for row in rows_of(dataset)]
        with ExitStack() as servers:
            gateway = servers.enter_context(
                GatewayServer(dataset, Path(folder) / "data", options.workers)
            )
            echo = servers.enter_context(EchoServer())
            found["cached"] = _cached(gateway, echo, pairs, options.rounds)
            found["memory"] = _memory(gateway, pairs, options.million)
            found["uncached"] = _uncached(gateway, dataset, pairs, options)
    _print(found)
    append(options.results, "gateway", found)


def _body(pairs: Sequence[tuple[str, str]], items: int, horizon_s: int) -> bytes:
    """A request: completions of each state in turn."""
    chosen = [pairs[number // 8 % len(pairs)] for number in range(items)]
    body = {
        "items": [
            {
                "id": number,
                "state_id": state_id,
                "tls_id": tls_id,
                "decision_kind": "extend",
                "completion": _COMPLETIONS[number % 2],
            }
            for number, (state_id, tls_id) in enumerate(chosen)
        ],
        "reward": {"name": "queue_gain", "horizon_s": horizon_s},
        "timeout_s": 600,
    }
    return json.dumps(body).encode()


def _cached(
    gateway: GatewayServer, echo: EchoServer, pairs: Sequence[tuple[str, str]], rounds: int
) -> list[dict[str, float]]:
    found = []
    for batch in _BATCHES:
        body = _body(pairs, batch, 30)
        with (
            closing(_Caller(gateway.port, "/v1/score", body)) as scoring,
            closing(_Caller(echo.port, "/echo", body)) as echoing,
        ):
            first = json.loads(scoring.ask())
            assert first["counts"]["failed"] == 0, first["counts"]  # noqa: S101
            assert json.loads(scoring.ask())["counts"]["cached"] == batch  # noqa: S101
            pairs_of_rates = [
                (scoring.requests_per_s() * batch, echoing.requests_per_s() * batch)
                for _ in track(range(rounds), f"batches of {batch}", console=_PROGRESS)
            ]
        ratio = statistics.median(ours / bare for ours, bare in pairs_of_rates)
        ours, bare = (statistics.median(rates) for rates in zip(*pairs_of_rates, strict=True))
        found.append(
            {
                "batch": batch,
                "items_per_s": round(ours),
                "echo_items_per_s": round(bare),
                "ratio": round(ratio, 2),
            }
        )
    return found


def _memory(
    gateway: GatewayServer, pairs: Sequence[tuple[str, str]], items: int
) -> dict[str, float]:
    """Resident memory before and after many cached items, MiB."""
    body = _body(pairs, 512, 30)
    with closing(_Caller(gateway.port, "/v1/score", body)) as scoring:
        for _ in range(100):
            scoring.ask()
        before = gateway.memory_mb()
        for _ in track(range(items // 512), "a million items", console=_PROGRESS):
            scoring.ask()
    after = gateway.memory_mb()
    return {"items": items, "before_mb": round(before, 1), "after_mb": round(after, 1)}


def _uncached(
    gateway: GatewayServer,
    dataset: Path,
    pairs: Sequence[tuple[str, str]],
    options: argparse.Namespace,
) -> dict[str, float]:
    walls = []
    for number in track(range(options.rounds), "uncached", console=_PROGRESS):
        horizon_s = 31 + number  # never asked for before, and nearly as long
        body = _body(pairs, 8 * options.states, horizon_s)
        with closing(_Caller(gateway.port, "/v1/score", body)) as scoring:
            begin_s = time.perf_counter()
            counts = json.loads(scoring.ask())["counts"]
            served_s = time.perf_counter() - begin_s
        assert counts["cached"] == counts["failed"] == 0, counts  # noqa: S101
        alone_s = engine_alone_s(dataset, _COMPLETIONS, horizon_s, options.workers)
        walls.append((served_s, alone_s))
    served, alone = (statistics.median(times) for times in zip(*walls, strict=True))
    return {
        "items": 8 * options.states,
        "rollouts": counts["rollouts"],
        "served_s": round(served, 3),
        "engine_s": round(alone, 3),
        "ratio": round(statistics.median(ours / theirs for ours, theirs in walls), 2),
    }


class _Caller:
    """One connection that asks the same again and again."""

    def __init__(self, port: int, path: str, body: bytes) -> None:
        head = (
            f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        self._request = head.encode() + body
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._file = self._socket.makefile("rb")

    def ask(self) -> bytes:
        """The body of an answer."""
        self._socket.sendall(self._request)
        status = self._file.readline()
        assert b" 200 " in status, status  # noqa: S101
        length = 0
        while (line := self._file.readline()) != b"\r\n":
            name, _, value = line.partition(b":")
            length = int(value) if name.lower() == b"content-length" else length
        return self._file.read(length)

    def requests_per_s(self) -> float:
        """Answers a second, over about a second."""
        begin_s = time.perf_counter()
        answers = sum(1 for _ in self._until(begin_s + _SECONDS_A_ROUND))
        return answers / (time.perf_counter() - begin_s)

    def _until(self, end_s: float) -> Iterator[bytes]:
        while time.perf_counter() < end_s:
            yield self.ask()

    def close(self) -> None:
        """Hangs up."""
        self._file.close()
        self._socket.close()


def _print(found: dict[str, Any]) -> None:
    table = Table(
        title=f"{found['network']}: scoring over HTTP, {found['workers']} workers",
        title_justify="left",
    )
    for column in ("cached, batch", "items per second", "bare echo", "ratio"):
        table.add_column(column, justify="right")
    for row in found["cached"]:
        table.add_row(
            str(row["batch"]),
            f"{row['items_per_s']:,}",
            f"{row['echo_items_per_s']:,}",
            f"{row['ratio']:.2f}",
        )
    console = Console(width=100)
    console.print(table)
    uncached, memory = found["uncached"], found["memory"]
    console.print(
        f"uncached: {uncached['items']} items, {uncached['rollouts']} rollouts in "
        f"{uncached['served_s']:.2f} s; the engine alone {uncached['engine_s']:.2f} s; "
        f"ratio {uncached['ratio']:.2f}"
    )
    console.print(
        f"memory: {memory['before_mb']:.0f} MiB, and {memory['after_mb']:.0f} MiB after "
        f"{memory['items']:,} cached items"
    )


if __name__ == "__main__":
    main()
