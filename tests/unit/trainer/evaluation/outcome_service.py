"""A reward service without a network: scores by the answer alone."""

from dataclasses import dataclass, field

import httpx

from reward_client import RetryPolicy, RewardClient
from shared.decisions import Decision, Extend
from shared.errors import UnknownState
from shared.wire.error_info import ErrorInfo
from shared.wire.outcomes import OutcomesQuery, OutcomesResponse, RankedOutcome, ReferenceOutcome
from shared.wire.problems import PROBLEM_MEDIA_TYPE, Problem
from shared.wire.scoring import Counts, ScoreRequest, ScoreResponse, ScoreResult
from shared.wire.states import Simulator
from tests.unit.trainer.evaluation.small_dataset import metrics

__all__ = ["Service"]

LOST = ErrorInfo(code="worker_lost", message="gone", retryable=False)


@dataclass
class Service:
    """A reward service: yes leads to a queue of 3, no to one of 5, twenty seconds to one of 2."""

    unknown: frozenset[str] = frozenset()
    """States that it does not serve."""
    lost: frozenset[str] = frozenset()
    """States in which every no fails."""
    is_gone: bool = False
    queries: list[OutcomesQuery] = field(default_factory=list)
    requests: list[ScoreRequest] = field(default_factory=list)

    def connect(self) -> RewardClient:
        """A client that asks nobody else."""
        transport = httpx.MockTransport(self._answer)
        return RewardClient("http://test", retry=RetryPolicy(retries=0), transport=transport)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        if self.is_gone:
            raise httpx.ConnectError("refused", request=request)
        if request.url.path == "/v1/score":
            return _json(self._scores(ScoreRequest.model_validate_json(request.content)))
        state_id = request.url.path.split("/")[3].partition("-")[0]
        if state_id in self.unknown:
            body = Problem.of(UnknownState(state_id))
            headers = {"content-type": PROBLEM_MEDIA_TYPE}
            return httpx.Response(404, content=body.model_dump_json(), headers=headers)
        query = OutcomesQuery.model_validate(dict(request.url.params))
        self.queries.append(query)
        return _json(self._outcomes(state_id, query))

    def _outcomes(self, state_id: str, query: OutcomesQuery) -> OutcomesResponse:
        yes, no = Extend(extend=True, extend_s=query.extend_s), Extend(extend=False)
        outcomes = [_ranked(yes, 0.25, 3.0), _ranked(no, -0.5, 5.0)]
        if state_id in self.lost:
            outcomes[1] = RankedOutcome(
                decision=no, status="failed", reward=None, regret=None, rank=None, error=LOST
            )
        return OutcomesResponse(
            state_id=state_id,
            tls_id="C",
            kind="extend",
            reward=query.spec(),
            best=yes,
            outcomes=tuple(outcomes),
            reference=ReferenceOutcome(reward=0.0),
            restore="state",
            fidelity="own",
            counts=Counts(scored=2, invalid=0, failed=0, cached=0, rollouts=3),
            simulator=Simulator(version="0"),
        )

    def _scores(self, request: ScoreRequest) -> ScoreResponse:
        self.requests.append(request)
        results = []
        for item in request.of_traffic:
            assert isinstance(item.decision, Extend)
            if item.decision.extend_s == 20:
                results.append(
                    ScoreResult(id=None, status="scored", reward=0.5, metrics=metrics(2.0))
                )
            elif item.decision.extend_s == 30:
                results.append(ScoreResult(id=None, status="failed", reward=None, error=LOST))
            else:
                error = ErrorInfo(code="above_max_green", message="no", retryable=False)
                results.append(ScoreResult(id=None, status="invalid", reward=-1.0, error=error))
        counts = Counts.of(results, 0)
        return ScoreResponse(
            results=tuple(results), counts=counts, simulator=Simulator(version="0")
        )


def _ranked(decision: Decision, reward: float, queue_veh: float) -> RankedOutcome:
    return RankedOutcome(
        decision=decision,
        status="scored",
        reward=reward,
        regret=0.25 - reward,
        rank=1,
        metrics=metrics(queue_veh),
    )


def _json(answer: OutcomesResponse | ScoreResponse) -> httpx.Response:
    headers = {"content-type": "application/json"}
    return httpx.Response(200, content=answer.model_dump_json(), headers=headers)
