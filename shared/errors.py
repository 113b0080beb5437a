"""Every error the project raises on purpose, in one tree.

::

    GreenforkError
    ├── InvalidDecision        a decision that breaks a rule; an outcome, not a failure
    ├── RequestError           the caller's request is wrong as a whole
    │   ├── MalformedRequest   400
    │   ├── Unauthorized       401
    │   ├── Forbidden          403
    │   ├── UnknownState       404
    │   ├── UnknownSignal      404
    │   ├── UnknownScenario    404
    │   ├── ConflictingState   409
    │   ├── UnknownJob         404
    │   ├── UnknownEpisode     404
    │   ├── EpisodeGone        410, the episode was deleted
    │   ├── UnknownProblem     404
    │   ├── EpisodeConflict    409, a step was decided otherwise or is not due
    │   ├── BodyTooSlow        408
    │   ├── IdempotencyConflict 409, the key was used for something else
    │   ├── BodyTooLarge       413
    │   ├── InvalidRequest     422
    │   └── ClientGone         499, the caller disconnected
    ├── InputError             a file or path that a command was given is unusable
    │   ├── ScenarioError
    │   ├── StateFileError
    │   ├── DatasetError
    │   ├── ModelError
    │   ├── ConfigError
    │   ├── ProblemError       PDDL that cannot be read
    │   └── FidelityError
    ├── RolloutError           one rollout could not be computed
    │   ├── RolloutRejected    SUMO refused it; a retry would be refused, too
    │   ├── OutOfMemory        it exceeds its memory limit
    │   ├── RolloutCrashed     its process died: out of memory, or a fault in SUMO
    │   ├── RolloutTimeout     its own time limit ended it
    │   ├── HolderLost         the process that holds the state died, twice
    │   ├── TraceDiffers       rolled out again, it showed something else
    │   ├── WorkerLost         the worker died, and so did the ones it was retried on
    │   └── DeadlineExceeded   the caller's deadline ended it (504 where nothing was done in time)
    ├── EpisodeInterrupted     503, its processes died; the record is whole, a retry goes on
    ├── Overloaded             503, retry after Retry-After
    │   └── TooManyEpisodes    429, the caller has as many unfinished episodes as it may
    ├── NotReady               503, nothing to score on yet
    ├── RewardsMissing         503, a protocol that requires every reward lacks one
    ├── LedgerError            503, outcomes cannot be looked up or recorded
    ├── StorageFull            507, the quota or the disk is full
    ├── ServiceError           a client's error at the reward URL
    │   ├── ServiceUnreachable
    │   └── ServiceRefused
    │       └── ServiceFault   a 500, twice
    └── TrainingStopped        a run that was failing and stopped itself

Each carries a stable ``code``, an ``http_status`` and whether a retry can help. Arguments are
positional, so that every error pickles across processes.
"""

from typing import ClassVar

__all__ = [
    *("BodyTooLarge", "BodyTooSlow", "ClientGone", "ConfigError", "ConflictingState"),
    *("DatasetError", "DeadlineExceeded", "EpisodeConflict", "EpisodeGone", "EpisodeInterrupted"),
    *("Forbidden", "GreenforkError", "HolderLost"),
    *("IdempotencyConflict", "InputError", "InvalidDecision", "InvalidRequest"),
    *("LedgerError", "MalformedRequest", "ModelError", "NotReady", "OutOfMemory"),
    *(
        "Overloaded",
        "ProblemError",
        "RequestError",
        "RewardsMissing",
        "RolloutCrashed",
        "RolloutError",
    ),
    *("RolloutRejected", "RolloutTimeout", "ScenarioError", "ServiceError", "ServiceFault"),
    *("ServiceRefused", "ServiceUnreachable", "StateFileError", "StorageFull"),
    *("TooManyEpisodes", "TraceDiffers", "TrainingStopped", "Unauthorized", "UnknownEpisode"),
    *("UnknownJob", "UnknownProblem", "UnknownScenario", "UnknownSignal"),
    *("UnknownState", "WorkerLost", "first_of"),
]


class GreenforkError(Exception):
    """The root. ``message`` is for people; ``code`` is what programs may rely on.

    Args:
        message: What is wrong and what to do about it, in one or two sentences.
        code: A more specific code than the class's own.
    """

    code: str = "internal"
    http_status: ClassVar[int] = 500
    retryable: ClassVar[bool] = False

    def __init__(self, message: str, code: str | None = None) -> None:
        super().__init__(message, code)
        self.message = message
        if code is not None:
            self.code = code

    def __str__(self) -> str:
        return self.message


class InvalidDecision(GreenforkError):
    """A decision that breaks a rule, or text that no decision can be read from.

    This is a real, low score: the item's status becomes ``invalid``, never ``failed``.
    """

    code = "invalid_decision"
    http_status = 422


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


class InputError(GreenforkError):
    """A file, folder or setting that a command was given is unusable."""

    code = "bad_input"
    http_status = 422


class ScenarioError(InputError):
    """A SUMO configuration that does not exist, is incomplete, or cannot be used."""

    code = "bad_scenario"


class StateFileError(InputError):
    """A state file that is damaged, or was written by another SUMO version."""

    code = "bad_state_file"


class DatasetError(InputError):
    """A folder or file that is not a dataset, or one that would be overwritten."""

    code = "not_a_dataset"


class ModelError(InputError):
    """A language model that does not exist or cannot be loaded."""

    code = "model_not_found"


class ConfigError(InputError):
    """A settings file or option that does not validate."""

    code = "bad_config"


class ProblemError(InputError):
    """A planning domain or problem that cannot be read; the message names the line."""

    code = "bad_pddl"


class FidelityError(InputError):
    """What would be run differs from the user's own simulation."""

    code = "other_simulation"


class RolloutError(GreenforkError):
    """One rollout could not be computed. Its reward is null."""

    code = "rollout_failed"


class RolloutRejected(RolloutError):
    """SUMO refused the state, the scenario or a call; a retry would be refused, too."""

    code = "rollout_rejected"


class OutOfMemory(RolloutError):
    """The simulation exceeds its memory limit; a retry would, too."""

    code = "out_of_memory"


class RolloutCrashed(RolloutError):
    """The rollout's process died without a message: out of memory, or a fault in SUMO."""

    code = "rollout_crashed"
    retryable = True


class RolloutTimeout(RolloutError):
    """The rollout ran longer than the worker's own limit and was killed."""

    code = "rollout_timeout"
    retryable = True


class HolderLost(RolloutError):
    """The process that holds the state died, was rebuilt, and died again."""

    code = "holder_lost"
    retryable = True


class WorkerLost(RolloutError):
    """The worker died during the rollout, and so did those it was retried on."""

    code = "worker_lost"
    retryable = True


class TraceDiffers(RolloutError):
    """A rollout that was made again to be looked at did not show what is on record."""

    code = "trace_differs"


class DeadlineExceeded(RolloutError):
    """The request's ``timeout_s`` passed before the rollout was done."""

    code = "deadline_exceeded"
    http_status = 504
    retryable = True


class Overloaded(GreenforkError):
    """The queue is full.

    Args:
        message: As everywhere.
        code: As everywhere.
        retry_after_s: Whole seconds after which there should be room.
    """

    code = "overloaded"
    http_status = 503
    retryable = True

    def __init__(self, message: str, code: str | None = None, retry_after_s: int = 1) -> None:
        super().__init__(message, code)
        self.args = (message, code, retry_after_s)
        self.retry_after_s = retry_after_s


class TooManyEpisodes(Overloaded):
    """The caller has as many unfinished episodes as it may."""

    code = "too_many_episodes"
    http_status = 429


class EpisodeInterrupted(GreenforkError):
    """The processes of an episode died again and again; its record is whole, and it can go on."""

    code = "episode_interrupted"
    http_status = 503
    retryable = True


class NotReady(GreenforkError):
    """The service runs but cannot score yet: no state, or no worker."""

    code = "not_ready"
    http_status = 503
    retryable = True


class RewardsMissing(GreenforkError):
    """Some rewards could not be computed, and the caller's protocol has no way to say so."""

    code = "rewards_missing"
    http_status = 503
    retryable = True


class LedgerError(GreenforkError):
    """The ledger could not be read or written: a full disk, a locked or damaged database."""

    code = "ledger_unavailable"
    http_status = 503
    retryable = True


class StorageFull(GreenforkError):
    """What should be stored does not fit into the caller's quota or on the disk."""

    code = "storage_full"
    http_status = 507


class ServiceError(GreenforkError):
    """A client's error at the reward URL."""

    code = "service_error"
    http_status = 502


class ServiceUnreachable(ServiceError):
    """Nothing answers at the reward URL, or not in time."""

    code = "service_unreachable"
    retryable = True


class ServiceRefused(ServiceError):
    """The reward service answered with a problem that a retry cannot fix."""

    code = "service_refused"


class ServiceFault(ServiceRefused):
    """The service answered a request with a 500, twice."""

    code = "service_failed"
    retryable = True


class TrainingStopped(GreenforkError):
    """A training run that was failing stopped itself and says why."""

    code = "training_stopped"


def first_of(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """One error to raise in place of a group: the first of ours, or else the first of all.

    >>> first_of(ExceptionGroup("", [OSError("gone"), UnknownJob("no such job")]))
    UnknownJob('no such job', None)
    """
    found: BaseException = group.subgroup(GreenforkError) or group
    while isinstance(found, BaseExceptionGroup):
        found = found.exceptions[0]
    return found
