"""The tables of the database, as they are after the last migration.

A test compares them with the result of the steps in ``migrations/``: a change here needs a new step
there.
"""

import sqlalchemy as sa

__all__ = [
    "API_KEYS",
    "EPISODES",
    "EPISODE_STEPS",
    "JOBS",
    "JOB_CHUNKS",
    "METADATA",
    "OUTCOMES",
]

METADATA = sa.MetaData()

OUTCOMES = sa.Table(
    "outcomes",
    METADATA,
    sa.Column("key", sa.String(64), primary_key=True),
    sa.Column("state_id", sa.Text, nullable=False),
    sa.Column("tls_id", sa.Text, nullable=False),
    sa.Column("decision", sa.Text),
    sa.Column("horizon_s", sa.Integer, nullable=False),
    sa.Column("simulator", sa.Text, nullable=False),
    sa.Column("metrics", sa.Text, nullable=False),
    sa.Column("created_at", sa.Float, nullable=False),
    sa.Column("made_by", sa.String(16), nullable=False, server_default="fork"),
    sqlite_with_rowid=False,
)
"""Every outcome ever computed, by the key of the work that led to it. Rows never change."""

API_KEYS = sa.Table(
    "api_keys",
    METADATA,
    sa.Column("key_id", sa.String(16), primary_key=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("digest", sa.String(64), nullable=False),
    sa.Column("scopes", sa.Text, nullable=False),
    sa.Column("weight", sa.Float, nullable=False),
    sa.Column("created_at", sa.Float, nullable=False),
    sa.Column("revoked_at", sa.Float),
    sa.UniqueConstraint("name", name="api_keys_name_key"),
)
"""API keys, as digests and never as the keys themselves."""

JOBS = sa.Table(
    "jobs",
    METADATA,
    sa.Column("job_id", sa.String(32), primary_key=True),
    sa.Column("caller", sa.Text, nullable=False),
    sa.Column("weight", sa.Float, nullable=False),
    sa.Column("request_key", sa.Text),
    sa.Column("digest", sa.String(64), nullable=False),
    sa.Column("spec", sa.Text, nullable=False),
    sa.Column("status", sa.String(16), nullable=False),
    sa.Column("items", sa.Integer, nullable=False),
    sa.Column("scored", sa.Integer, nullable=False, server_default="0"),
    sa.Column("invalid", sa.Integer, nullable=False, server_default="0"),
    sa.Column("failed", sa.Integer, nullable=False, server_default="0"),
    sa.Column("cached", sa.Integer, nullable=False, server_default="0"),
    sa.Column("rollouts", sa.Integer, nullable=False, server_default="0"),
    sa.Column("created_at", sa.Float, nullable=False),
    sa.Column("started_at", sa.Float),
    sa.Column("finished_at", sa.Float),
    sa.Column("error", sa.Text),
    sa.Column("owner", sa.Text),
    sa.Column("lease_until", sa.Float),
    sa.UniqueConstraint("caller", "request_key", name="jobs_caller_request_key_key"),
)
"""Bulk jobs: the request, its progress, and which gateway has it until when."""

JOB_CHUNKS = sa.Table(
    "job_chunks",
    METADATA,
    sa.Column("job_id", sa.String(32), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("items_count", sa.Integer, nullable=False),
    sa.Column("items", sa.LargeBinary, nullable=False),
    sa.Column("results", sa.LargeBinary),
)
"""The items of bulk jobs in chunks, and the results of chunks that are done."""

EPISODES = sa.Table(
    "episodes",
    METADATA,
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
    sa.Index("episodes_status_updated_at_idx", "status", "updated_at"),
)
"""Episodes: the request, the progress, and the figures of finished ones."""

EPISODE_STEPS = sa.Table(
    "episode_steps",
    METADATA,
    sa.Column("episode_id", sa.String(32), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("request", sa.LargeBinary, nullable=False),
    sa.Column("answer", sa.LargeBinary, nullable=False),
    sa.Column("actions", sa.LargeBinary, nullable=False),
)
"""The steps of episodes: request, answer, and the commands given to signals."""
