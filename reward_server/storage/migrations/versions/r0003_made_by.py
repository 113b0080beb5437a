"""How the process of each outcome came to its moment."""

import sqlalchemy as sa
from alembic import op

__all__ = ["down_revision", "revision", "upgrade"]

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Adds the column; what was recorded before was done by forks."""
    column = sa.Column("made_by", sa.String(16), nullable=False, server_default="fork")
    op.add_column("outcomes", column)
