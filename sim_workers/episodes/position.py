"""Where an episode is, told by a digest: equal for equal specifications and equal decisions.

Whoever has a process of an episode compares its position with that of the record before anything is
done, so that a process that is ahead, behind, or of something else is never gone on with.
"""

import hashlib
from collections.abc import Iterable
from typing import Self

from shared.model import WireModel
from shared.wire.episodes import StepRequest
from sim_workers.episodes.record import EpisodeSpec

__all__ = ["Position", "canonical_step"]


def canonical_step(request: StepRequest) -> StepRequest:
    """The same request with its signals in order, so that equal ones are written equally."""
    return request.model_copy(
        update={
            "decisions": dict(sorted(request.decisions.items())),
            "completions": dict(sorted(request.completions.items())),
        }
    )


class Position(WireModel):
    """How far an episode is, and a digest of all that led there."""

    steps: int
    digest: str
    """64 hex digits."""

    @classmethod
    def at_begin(cls, spec: EpisodeSpec, begins_at: str) -> Self:
        """Before the first step.

        Args:
            spec: The specification.
            begins_at: Id of the scenario, or of the state that it begins from.
        """
        text = f"{begins_at}\n{spec.model_dump_json()}"
        return cls(steps=0, digest=hashlib.sha256(text.encode()).hexdigest())

    def after(self, request: bytes) -> "Position":
        """After a step, given as the JSON of its request in canonical form."""
        digest = hashlib.sha256(self.digest.encode() + request).hexdigest()
        return Position(steps=self.steps + 1, digest=digest)

    def after_all(self, requests: Iterable[bytes]) -> "Position":
        """After several steps."""
        position = self
        for request in requests:
            position = position.after(request)
        return position
