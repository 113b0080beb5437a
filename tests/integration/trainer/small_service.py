"""A reward service in a thread, over a real socket: scores by a rule instead of a simulation."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from shared.decisions import Extend
from shared.errors import InvalidDecision
from shared.language.completions import parse_completion
from shared.model import WireModel
from shared.wire.error_info import ErrorInfo
from shared.wire.info import Limits, ServiceInfo, Versions
from shared.wire.scoring import Counts, ScoreItem, ScoreRequest, ScoreResponse, ScoreResult
from shared.wire.states import Simulator

__all__ = ["Answer", "Reply", "SmallService", "failing", "running", "yes_is_better"]

Answer = Callable[[ScoreItem, ScoreRequest], ScoreResult]


@dataclass(frozen=True)
class Reply:
    """Bytes to send instead of an answer."""

    body: bytes = b""
    status: int = 200
    claimed_bytes: int | None = None
    """What the head says of the body's length, where that is not true."""
    delay_s: float = 0.0
    """Seconds before anything is sent."""


def yes_is_better(item: ScoreItem, request: ScoreRequest) -> ScoreResult:
    """0.5 for a yes, -0.5 for a no, the invalid reward for anything else."""
    try:
        decision = item.decision or parse_completion(item.completion or "", "extend")
    except InvalidDecision as exc:
        return ScoreResult(
            id=item.id,
            status="invalid",
            reward=request.reward.invalid_reward,
            error=ErrorInfo.of(exc),
        )
    assert isinstance(decision, Extend)
    reward = 0.5 if decision.extend else -0.5
    return ScoreResult(id=item.id, status="scored", reward=reward, decision=decision)


def failing(item: ScoreItem, request: ScoreRequest) -> ScoreResult:
    """No reward for completions; decisions, which only the check at the start sends, are scored."""
    if item.decision is not None:
        return yes_is_better(item, request)
    error = ErrorInfo(code="rollout_rejected", message="no", retryable=False)
    return ScoreResult(id=item.id, status="failed", reward=None, error=error)


class SmallService:
    """What was asked, and how it is answered. ``answer`` may be changed while it runs."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.requests: list[ScoreRequest] = []
        self.is_gone_after: int | None = None
        """The number of score requests after which connections are dropped."""
        self.reply: Callable[[ScoreResponse], Reply] | None = None
        """What is sent instead of the answers after ``is_gone_after``, if that is not nothing."""

    def info(self) -> ServiceInfo:
        """Something that looks right."""
        return ServiceInfo(
            versions=Versions(greenfork="0", sumo="0", ray="0"),
            limits=Limits(
                max_items=999, max_body_bytes=10**6, max_pending_items=999, rollout_timeout_s=1
            ),
            states=1,
            uptime_s=1.0,
        )

    def score(self, body: bytes) -> ScoreResponse | Reply | None:
        """The answer to a request; None where there is to be none."""
        request = ScoreRequest.model_validate_json(body)
        self.requests.append(request)
        is_gone = self.is_gone_after is not None and len(self.requests) > self.is_gone_after
        if is_gone and self.reply is None:
            return None
        results = tuple(self.answer(item, request) for item in request.of_traffic)
        statuses = [result.status for result in results]
        response = ScoreResponse(
            results=results,
            counts=Counts.of(results, statuses.count("scored")),
            simulator=Simulator(version="0"),
        )
        return self.reply(response) if is_gone and self.reply is not None else response


@contextmanager
def running(service: SmallService, port: int = 0) -> Iterator[str]:
    """Serves on a port of the loopback interface, a free one by default; gives the URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._send(service.info())

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self._send(service.score(body))

        def _send(self, answer: WireModel | Reply | None) -> None:
            if answer is None:
                self.close_connection = True
                return
            if not isinstance(answer, Reply):
                answer = Reply(answer.model_dump_json().encode())
            time.sleep(answer.delay_s)
            self.send_response(answer.status)
            self.send_header("Content-Length", str(answer.claimed_bytes or len(answer.body)))
            self.end_headers()
            self.wfile.write(answer.body)

        def log_message(self, *_: object) -> None:
            """Not to the test's output."""

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
