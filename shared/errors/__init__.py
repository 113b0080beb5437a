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

from shared.errors.inputs import (
    ConfigError,
    DatasetError,
    FidelityError,
    InputError,
    ModelError,
    ProblemError,
    ScenarioError,
    StateFileError,
)
from shared.errors.requests import (
    BodyTooLarge,
    BodyTooSlow,
    ClientGone,
    ConflictingState,
    EpisodeConflict,
    EpisodeGone,
    Forbidden,
    IdempotencyConflict,
    InvalidRequest,
    MalformedRequest,
    RequestError,
    Unauthorized,
    UnknownEpisode,
    UnknownJob,
    UnknownProblem,
    UnknownScenario,
    UnknownSignal,
    UnknownState,
)
from shared.errors.rollouts import (
    DeadlineExceeded,
    HolderLost,
    OutOfMemory,
    RolloutCrashed,
    RolloutError,
    RolloutRejected,
    RolloutTimeout,
    TraceDiffers,
    WorkerLost,
)
from shared.errors.root import GreenforkError, InvalidDecision, TrainingStopped, first_of
from shared.errors.services import (
    EpisodeInterrupted,
    LedgerError,
    NotReady,
    Overloaded,
    RewardsMissing,
    ServiceError,
    ServiceFault,
    ServiceRefused,
    ServiceUnreachable,
    StorageFull,
    TooManyEpisodes,
)

__all__ = [
    "BodyTooLarge",
    "BodyTooSlow",
    "ClientGone",
    "ConfigError",
    "ConflictingState",
    "DatasetError",
    "DeadlineExceeded",
    "EpisodeConflict",
    "EpisodeGone",
    "EpisodeInterrupted",
    "FidelityError",
    "Forbidden",
    "GreenforkError",
    "HolderLost",
    "IdempotencyConflict",
    "InputError",
    "InvalidDecision",
    "InvalidRequest",
    "LedgerError",
    "MalformedRequest",
    "ModelError",
    "NotReady",
    "OutOfMemory",
    "Overloaded",
    "ProblemError",
    "RequestError",
    "RewardsMissing",
    "RolloutCrashed",
    "RolloutError",
    "RolloutRejected",
    "RolloutTimeout",
    "ScenarioError",
    "ServiceError",
    "ServiceFault",
    "ServiceRefused",
    "ServiceUnreachable",
    "StateFileError",
    "StorageFull",
    "TooManyEpisodes",
    "TraceDiffers",
    "TrainingStopped",
    "Unauthorized",
    "UnknownEpisode",
    "UnknownJob",
    "UnknownProblem",
    "UnknownScenario",
    "UnknownSignal",
    "UnknownState",
    "WorkerLost",
    "first_of",
]
