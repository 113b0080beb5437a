"""A reward service out of a file of outcomes, by the standard library alone.

``ledger.jsonl`` beside this module has decision points of ``scenarios/crossing`` with what both
decisions led to, as ``greenfork dataset build --outcomes`` wrote them. Rewards are exact, and cost
nothing: what is measured is the training.
"""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from shared.decisions import Extend
from shared.errors import InvalidDecision
from shared.language.completions import parse_completion
from shared.model import WireModel
from shared.rewards import Metrics
from shared.wire.error_info import ErrorInfo
from shared.wire.info import Limits, ServiceInfo, Versions
from shared.wire.scoring import Counts, ScoreItem, ScoreRequest, ScoreResponse, ScoreResult
from shared.wire.states import Simulator

__all__ = ["LEDGER", "LedgerService"]

LEDGER = Path(__file__).parent / "ledger.jsonl"

_Key = tuple[str, bool]


class LedgerService:
    """Answers for the decision points of a ledger; the reward is ``queue``.

    Args:
        path: Rows with ``state_id`` and ``outcomes`` of *extend* decisions.
    """

    def __init__(self, path: Path = LEDGER) -> None:
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        self._known: dict[_Key, Metrics] = {
            (row["state_id"], bool(one["decision"]["extend"])): Metrics(**one["metrics"])
            for row in rows
            for one in row["outcomes"]
        }
        self._states = len(rows)

    @contextmanager
    def running(self) -> Iterator[str]:
        """Serves on a free port of the loopback interface; gives the URL."""
        service = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if self.path.startswith("/v1/info"):
                    self._send(service._info())
                else:
                    self.send_error(404)

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                self._send(service.score(ScoreRequest.model_validate_json(body)))

            def _send(self, answer: WireModel) -> None:
                body = answer.model_dump_json().encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Nothing: the table is what is printed."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
            server.server_close()

    def score(self, request: ScoreRequest) -> ScoreResponse:
        """The results, in order; a state that is not in the ledger has failed."""
        results = tuple(self._result(item, request) for item in request.of_traffic)
        return ScoreResponse(
            results=results, counts=Counts.of(results, 0), simulator=Simulator(version="ledger")
        )

    def _result(self, item: ScoreItem, request: ScoreRequest) -> ScoreResult:
        try:
            decision = item.decision or parse_completion(item.completion or "", "extend")
        except InvalidDecision as exc:
            return ScoreResult(
                id=item.id,
                status="invalid",
                reward=request.reward.invalid_reward,
                error=ErrorInfo.of(exc),
            )
        is_yes = isinstance(decision, Extend) and decision.extend
        metrics = self._known.get((item.state_id, is_yes))
        if metrics is None:
            error = ErrorInfo(code="unknown_state", message=item.state_id, retryable=False)
            return ScoreResult(id=item.id, status="failed", reward=None, error=error)
        return ScoreResult(
            id=item.id,
            status="scored",
            reward=-metrics.queue_veh,
            decision=decision,
            metrics=metrics,
            cached=True,
        )

    def _info(self) -> ServiceInfo:
        return ServiceInfo(
            versions=Versions(greenfork="ledger", sumo="ledger", ray="none"),
            limits=Limits(
                max_items=4096,
                max_body_bytes=10**8,
                max_pending_items=10**5,
                rollout_timeout_s=60,
            ),
            states=self._states,
            uptime_s=1.0,
        )
