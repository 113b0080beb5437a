"""The ledger of release 0.1: every outcome, by its key."""

import sqlalchemy as sa
from alembic import op

__all__ = ["down_revision", "revision", "upgrade"]

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Makes the table of outcomes."""
    op.create_table(
        "outcomes",
        sa.Column("key", sa.String(64), primary_key=True),
        sa.Column("state_id", sa.Text, nullable=False),
        sa.Column("tls_id", sa.Text, nullable=False),
        sa.Column("decision", sa.Text),
        sa.Column("horizon_s", sa.Integer, nullable=False),
        sa.Column("simulator", sa.Text, nullable=False),
        sa.Column("metrics", sa.Text, nullable=False),
        sa.Column("created_at", sa.Float, nullable=False),
        sqlite_with_rowid=False,
    )
