"""The position of an episode, with a digest that is equal for equal specifications and decisions.

Before a process of an episode is used, its position is compared with that of the record, so that a
process that is ahead, behind or of something else never continues.
"""

import hashlib
from collections.abc import Iterable
from typing import Self

from shared.model import WireModel
from shared.wire.episodes import StepRequest
from sim_workers.episodes.record import EpisodeSpec

__all__ = ["Position", "canonical_step"]


def canonical_step(request: StepRequest) -> StepRequest:
    """The same request with its signals sorted, so that equal requests have equal texts."""
    return request.model_copy(
        update={
            "decisions": dict(sorted(request.decisions.items())),
            "completions": dict(sorted(request.completions.items())),
        }
    )


class Position(WireModel):
    """How far an episode has come, with a digest of everything that led there."""

    steps: int
    digest: str
    """64 hex digits."""

    @classmethod
    def at_begin(cls, spec: EpisodeSpec, begins_at: str) -> Self:
        """The position before the first step.

        Args:
            spec: The specification.
            begins_at: Id of the scenario or the state from which it begins.
        """
        text = f"{begins_at}\n{spec.model_dump_json()}"
        return cls(steps=0, digest=hashlib.sha256(text.encode()).hexdigest())

    def after(self, request: bytes) -> "Position":
        """The position after a step, given as the JSON of its request in canonical form."""
        digest = hashlib.sha256(self.digest.encode() + request).hexdigest()
        return Position(steps=self.steps + 1, digest=digest)

    def after_all(self, requests: Iterable[bytes]) -> "Position":
        """The position after several steps."""
        position = self
        for request in requests:
            position = position.after(request)
        return position
