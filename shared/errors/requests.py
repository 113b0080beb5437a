"""What is wrong with a caller's request as a whole."""

from shared.errors.root import GreenforkError

__all__ = [
    "BodyTooLarge",
    "BodyTooSlow",
    "ClientGone",
    "ConflictingState",
    "EpisodeConflict",
    "EpisodeGone",
    "Forbidden",
    "IdempotencyConflict",
    "InvalidRequest",
    "MalformedRequest",
    "RequestError",
    "Unauthorized",
    "UnknownEpisode",
    "UnknownJob",
    "UnknownProblem",
    "UnknownScenario",
    "UnknownSignal",
    "UnknownState",
]


class RequestError(GreenforkError):
    """The request is wrong as a whole; sending it again unchanged cannot help."""

    code = "bad_request"
    http_status = 400


class MalformedRequest(RequestError):
    """The body is not JSON."""

    code = "malformed_json"


class Unauthorized(RequestError):
    """The API key is missing or wrong."""

    code = "unauthorized"
    http_status = 401


class Forbidden(RequestError):
    """The API key is valid, but lacks the required scope."""

    code = "forbidden"
    http_status = 403


class UnknownState(RequestError):
    """No state of that id is served here."""

    code = "unknown_state"
    http_status = 404


class UnknownSignal(RequestError):
    """The state's network has no traffic light of that id, or none that can be decided."""

    code = "unknown_signal"
    http_status = 404


class UnknownJob(RequestError):
    """The caller has no job of that id."""

    code = "unknown_job"
    http_status = 404


class UnknownEpisode(RequestError):
    """The caller has no episode of that id."""

    code = "unknown_episode"
    http_status = 404


class EpisodeGone(RequestError):
    """The episode was deleted."""

    code = "episode_deleted"
    http_status = 410


class UnknownProblem(RequestError):
    """No such planning problem is served here."""

    code = "unknown_problem"
    http_status = 404


class IdempotencyConflict(RequestError):
    """The caller has used the ``Idempotency-Key`` for other content."""

    code = "idempotency_conflict"
    http_status = 409


class BodyTooSlow(RequestError):
    """The body did not arrive in time."""

    code = "body_too_slow"
    http_status = 408
    retryable = True


class UnknownScenario(RequestError):
    """No scenario of that id was uploaded here."""

    code = "unknown_scenario"
    http_status = 404


class ConflictingState(RequestError):
    """The same state file is known as a state of another scenario or run."""

    code = "conflicting_state"
    http_status = 409


class EpisodeConflict(RequestError):
    """A step of an episode that was decided otherwise, is not due yet, or is after its end."""

    code = "step_conflict"
    http_status = 409


class BodyTooLarge(RequestError):
    """The body is larger than the gateway accepts."""

    code = "body_too_large"
    http_status = 413


class InvalidRequest(RequestError):
    """The body is JSON, but not a valid request."""

    code = "invalid_request"
    http_status = 422


class ClientGone(RequestError):
    """The caller closed the connection before the response. It appears only in the log."""

    code = "client_gone"
    http_status = 499
