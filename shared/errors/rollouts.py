"""Why one rollout could not be computed."""

from shared.errors.root import GreenforkError

__all__ = [
    "DeadlineExceeded",
    "HolderLost",
    "OutOfMemory",
    "RolloutCrashed",
    "RolloutError",
    "RolloutRejected",
    "RolloutTimeout",
    "TraceDiffers",
    "WorkerLost",
]


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
