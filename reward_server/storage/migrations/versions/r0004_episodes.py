"""Episodes and their steps."""

import sqlalchemy as sa
from alembic import op

__all__ = ["down_revision", "revision", "upgrade"]

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Makes the tables of episodes and of their steps."""
    op.create_table(
        "episodes",
        sa.Column("episode_id", sa.String(32), primary_key=True),
        sa.Column("caller", sa.Text, nullable=False),
        sa.Column("request_key", sa.Text),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("scenario_id", sa.Text, nullable=False),
        sa.Column("state_id", sa.Text),
        sa.Column("spec", sa.Text, nullable=False),
        sa.Column("signals", sa.Text, nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("steps", sa.Integer, nullable=False, server_default="0"),
        sa.Column("position", sa.String(64), nullable=False),
        sa.Column("time_s", sa.Float, nullable=False),
        sa.Column("created_at", sa.Float, nullable=False),
        sa.Column("updated_at", sa.Float, nullable=False),
        sa.Column("finished_at", sa.Float),
        sa.Column("answer", sa.LargeBinary),
        sa.Column("figures", sa.Text),
        sa.Column("tripinfo", sa.LargeBinary),
        sa.UniqueConstraint("caller", "request_key", name="episodes_caller_request_key_key"),
    )
    op.create_index("episodes_status_updated_at_idx", "episodes", ["status", "updated_at"])
    op.create_table(
        "episode_steps",
        sa.Column("episode_id", sa.String(32), primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("request", sa.LargeBinary, nullable=False),
        sa.Column("answer", sa.LargeBinary, nullable=False),
        sa.Column("actions", sa.LargeBinary, nullable=False),
    )
