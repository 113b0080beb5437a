"""A reward service in a thread, over a real socket: scores by a rule instead of a simulation."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from shared.completions import parse_completion
from shared.decisions import Extend
from shared.errors import ErrorInfo, InvalidDecision
from shared.info import Limits, ServiceInfo, Versions
from shared.model import WireModel
from shared.scoring import Counts, ScoreItem, ScoreRequest, ScoreResponse, ScoreResult
from shared.states import Simulator

__all__ = ["Answer", "SmallService", "failing", "running", "yes_is_better"]

Answer = Callable[[ScoreItem, ScoreRequest], ScoreResult]


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

    def score(self, body: bytes) -> ScoreResponse | None:
        """The answer to a request; None where there is to be none."""
        request = ScoreRequest.model_validate_json(body)
        self.requests.append(request)
        if self.is_gone_after is not None and len(self.requests) > self.is_gone_after:
            return None
        results = tuple(self.answer(item, request) for item in request.items)
        statuses = [result.status for result in results]
        return ScoreResponse(
            results=results,
            counts=Counts(
                scored=statuses.count("scored"),
                invalid=statuses.count("invalid"),
                failed=statuses.count("failed"),
                cached=0,
                rollouts=statuses.count("scored"),
            ),
            simulator=Simulator(version="0"),
        )


@contextmanager
def running(service: SmallService) -> Iterator[str]:
    """Serves on a free port of the loopback interface; gives the URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._send(service.info())

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self._send(service.score(body))

        def _send(self, answer: WireModel | None) -> None:
            if answer is None:
                self.close_connection = True
                return
            body = answer.model_dump_json().encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Not to the test's output."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
