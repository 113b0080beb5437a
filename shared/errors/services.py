"""What a service cannot do just now, and what a client makes of it."""

from shared.errors.root import GreenforkError

__all__ = [
    "EpisodeInterrupted",
    "LedgerError",
    "NotReady",
    "Overloaded",
    "RewardsMissing",
    "ServiceError",
    "ServiceFault",
    "ServiceRefused",
    "ServiceUnreachable",
    "StorageFull",
    "TooManyEpisodes",
]


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
