"""Writing a step to the database: two statements that do nothing unless the step is due."""

import zlib
from dataclasses import dataclass

from sqlalchemy import ColumnElement, LargeBinary, Update, UpdateBase, bindparam, select, update

from reward_server.storage.database import Database
from reward_server.storage.tables import EPISODE_STEPS, EPISODES
from sim_workers.episodes.position import Position

__all__ = ["StepWrite", "finish", "insert_step", "move", "pack", "row_of", "unpack"]

_FAST = 1


@dataclass(frozen=True)
class StepWrite:
    """A completed step."""

    episode_id: str
    at: Position
    """The episode's position after the step."""
    time_s: float
    request: bytes
    answer: bytes
    actions: bytes
    figures: bytes | None = None
    """The episode's figures, after its last step."""
    tripinfo: bytes | None = None

    @property
    def number(self) -> int:
        """Number of the step."""
        return self.at.steps - 1


def row_of(write: StepWrite) -> dict[str, object]:
    """The parameters of the statements."""
    row: dict[str, object] = {
        "of_episode": write.episode_id,
        "at_number": write.number,
        "new_steps": write.at.steps,
        "new_position": write.at.digest,
        "new_time_s": write.time_s,
        "new_request": pack(write.request),
        "new_answer": pack(write.answer),
        "new_actions": pack(write.actions),
    }
    if write.figures is not None and write.tripinfo is not None:
        row["new_figures"] = write.figures.decode()
        row["new_tripinfo"] = pack(write.tripinfo)
    return row


_IS_DUE = (
    (EPISODES.c.episode_id == bindparam("of_episode"))
    & (EPISODES.c.steps == bindparam("at_number"))
    & (EPISODES.c.status == "running")
)
_STEP_COLUMNS = ("episode_id", "number", "request", "answer", "actions")


def insert_step(database: Database) -> UpdateBase:
    """Records a step, if it is the next one due."""
    row = select(
        EPISODES.c.episode_id,
        EPISODES.c.steps,
        bindparam("new_request", type_=LargeBinary),
        bindparam("new_answer", type_=LargeBinary),
        bindparam("new_actions", type_=LargeBinary),
    ).where(_IS_DUE)
    return database.insert_new(EPISODE_STEPS).from_select(_STEP_COLUMNS, row)


def move(now: ColumnElement[float]) -> Update:
    """Advances an episode by a step, if it is the next one due."""
    return (
        update(EPISODES)
        .where(_IS_DUE)
        .values(
            steps=bindparam("new_steps"),
            position=bindparam("new_position"),
            time_s=bindparam("new_time_s"),
            updated_at=now,
        )
    )


def finish(now: ColumnElement[float]) -> Update:
    """The same as :func:`move`, for the last step."""
    return move(now).values(
        status="finished",
        finished_at=now,
        figures=bindparam("new_figures"),
        tripinfo=bindparam("new_tripinfo", type_=LargeBinary),
    )


def pack(content: bytes) -> bytes:
    """Compresses content for storage."""
    return zlib.compress(content, _FAST)


def unpack(packed: bytes) -> bytes:
    """Decompresses stored content."""
    return zlib.decompress(packed)
