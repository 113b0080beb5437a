"""An episode as stored in the database."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from sqlalchemy import Row

from shared.wire.episode_views import EpisodeView
from sim_workers.episodes.position import Position
from sim_workers.episodes.record import EpisodeSpec

__all__ = ["StoredEpisode", "StoredStatus", "named", "read_episode"]

StoredStatus = Literal["running", "finished", "deleted"]

_HEAD = b'{"episode_id":"'
_ID_CHARS = 32


@dataclass(frozen=True)
class StoredEpisode:
    """One episode, without the answers to its steps."""

    episode_id: str
    caller: str
    digest: str
    """Equal for equal requests."""
    scenario_id: str
    state_id: str | None
    spec: EpisodeSpec
    signals: tuple[str, ...]
    status: StoredStatus
    at: Position
    time_s: float
    created_at: float
    """Seconds since 1970 by the database's clock, like the next two."""
    updated_at: float
    finished_at: float | None

    @property
    def begins_at(self) -> str:
        """Id of the state or the scenario from which the episode begins."""
        return self.state_id or self.scenario_id

    def view(self, is_live: bool) -> EpisodeView:
        """The episode as its caller sees it."""
        assert self.status != "deleted", "nobody sees those"  # noqa: S101
        spec = self.spec
        return EpisodeView(
            episode_id=self.episode_id,
            status=self.status,
            is_live=is_live,
            scenario_id=self.scenario_id,
            state_id=self.state_id,
            seed=spec.seed,
            scale=spec.scale,
            begin_s=spec.begin_s,
            end_s=spec.end_s,
            time_s=self.time_s,
            step=self.at.steps,
            signals=self.signals,
            program=spec.program,
            control=spec.control,
            reward=spec.reward,
            observe=spec.observe,
            created_at=_utc(self.created_at),
            updated_at=_utc(self.updated_at),
            finished_at=None if self.finished_at is None else _utc(self.finished_at),
        )


def read_episode(row: Row[Any]) -> StoredEpisode:
    """The episode in a table row."""
    return StoredEpisode(
        episode_id=row.episode_id,
        caller=row.caller,
        digest=row.digest,
        scenario_id=row.scenario_id,
        state_id=row.state_id,
        spec=EpisodeSpec.model_validate_json(row.spec),
        signals=tuple(json.loads(row.signals)),
        status=row.status,
        at=Position(steps=row.steps, digest=row.position),
        time_s=row.time_s,
        created_at=row.created_at,
        updated_at=row.updated_at,
        finished_at=row.finished_at,
    )


def named(answer: bytes, episode_id: str) -> bytes:
    """A step's answer with another episode's id: a fork shares the answers of its origin.

    >>> named(b'{"episode_id":"' + b"a" * 32 + b'","step":1}', "b" * 32)[:25]
    b'{"episode_id":"bbbbbbbbbb'
    """
    assert answer.startswith(_HEAD), "the id stands first"  # noqa: S101
    return _HEAD + episode_id.encode() + answer[len(_HEAD) + _ID_CHARS :]


def _utc(seconds: float) -> datetime:
    return datetime.fromtimestamp(round(seconds, 3), UTC)
