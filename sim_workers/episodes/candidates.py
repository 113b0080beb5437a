"""Candidates at the current moment of an episode, from request to results."""

from shared.errors import InvalidDecision, InvalidRequest
from shared.wire.episode_views import (
    Candidate,
    CandidateMetrics,
    CandidateResult,
    CandidateReward,
    CandidatesRequest,
    CandidatesResponse,
)
from shared.wire.episodes import EpisodeDecision
from shared.wire.error_info import ErrorInfo
from sim_workers.engine.episodes.messages import Trial
from sim_workers.episodes.episode import Episode
from sim_workers.episodes.reading import read_decision

__all__ = ["try_request"]

_RULES = frozenset(
    ("above_max_green", "below_min_green", "not_green", "unknown_phase", "wrong_kind")
)
"""Codes of decisions that break a rule, which is not a failure."""


def try_request(
    episode: Episode, request: CandidatesRequest, at_once: int = 1
) -> CandidatesResponse:
    """Tries candidates, so many side by side; the episode does not move.

    A candidate is invalid, and gets the request's ``invalid_reward``, if no decision can be read
    from its completion or its decision breaks a rule. One that could not be rolled out has failed,
    and gets no reward.

    Raises:
        InvalidRequest: ``unknown_signal``: a candidate names a signal that is not steered.
        EpisodeConflict: ``episode_over``.
        HolderLost: The process died.
    """
    results: list[CandidateResult | None] = []
    tried: list[dict[str, EpisodeDecision]] = []
    for item in request.items:
        try:
            tried.append(_decisions_of(episode, item))
            results.append(None)
        except InvalidDecision as exc:
            results.append(_invalid(item, ErrorInfo.of(exc), request.reward))
    horizon_s, limit_s = request.reward.horizon_s, request.timeout_s
    trials = iter(episode.try_candidates(tried, horizon_s, request.base, at_once, limit_s))
    return CandidatesResponse(
        episode_id=episode.episode_id,
        step=episode.steps,
        time_s=episode.seen.time_s,
        results=tuple(
            _result_of(item, next(trials), request.reward) if known is None else known
            for item, known in zip(request.items, results, strict=True)
        ),
    )


def _decisions_of(episode: Episode, item: Candidate) -> dict[str, EpisodeDecision]:
    decisions, completions = item.by_signal()
    for tls_id in (*decisions, *completions):
        if tls_id not in episode.steered:
            raise InvalidRequest(
                f"signal {tls_id[:80]!r} is not steered in this episode", "unknown_signal"
            )
    for tls_id, text in completions.items():
        decisions[tls_id] = read_decision(text, episode.spec.control)
    return decisions


def _result_of(item: Candidate, trial: Trial, reward: CandidateReward) -> CandidateResult:
    if trial.error is not None:
        if trial.error.code in _RULES:
            return _invalid(item, trial.error, reward)
        return CandidateResult(id=item.id, status="failed", reward=None, error=trial.error)
    assert trial.delay_veh is not None and trial.queue_veh is not None  # noqa: S101, PT018
    metrics = CandidateMetrics(delay_veh=trial.delay_veh, queue_veh=trial.queue_veh)
    value = metrics.delay_veh if reward.name == "delay" else metrics.queue_veh
    return CandidateResult(id=item.id, status="scored", reward=-value, metrics=metrics)


def _invalid(item: Candidate, error: ErrorInfo, reward: CandidateReward) -> CandidateResult:
    return CandidateResult(id=item.id, status="invalid", reward=reward.invalid_reward, error=error)
