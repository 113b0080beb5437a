"""The tables of the database, as they are after the last migration.

What is written here and what the steps in ``migrations/`` lead to is compared by a test: a change
here needs a new step there.
"""

from sqlalchemy import (
    Column,
    Float,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

__all__ = ["API_KEYS", "JOBS", "JOB_CHUNKS", "METADATA", "OUTCOMES"]

METADATA = MetaData()

OUTCOMES = Table(
    "outcomes",
    METADATA,
    Column("key", String(64), primary_key=True),
    Column("state_id", Text, nullable=False),
    Column("tls_id", Text, nullable=False),
    Column("decision", Text),
    Column("horizon_s", Integer, nullable=False),
    Column("simulator", Text, nullable=False),
    Column("metrics", Text, nullable=False),
    Column("created_at", Float, nullable=False),
    sqlite_with_rowid=False,
)
"""Every outcome ever computed, by the key of the work that led to it. Never changed."""

API_KEYS = Table(
    "api_keys",
    METADATA,
    Column("key_id", String(16), primary_key=True),
    Column("name", Text, nullable=False),
    Column("digest", String(64), nullable=False),
    Column("scopes", Text, nullable=False),
    Column("weight", Float, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("revoked_at", Float),
    UniqueConstraint("name", name="api_keys_name_key"),
)
"""Who may call: digests of keys, never the keys."""

JOBS = Table(
    "jobs",
    METADATA,
    Column("job_id", String(32), primary_key=True),
    Column("caller", Text, nullable=False),
    Column("weight", Float, nullable=False),
    Column("request_key", Text),
    Column("digest", String(64), nullable=False),
    Column("spec", Text, nullable=False),
    Column("status", String(16), nullable=False),
    Column("items", Integer, nullable=False),
    Column("scored", Integer, nullable=False, server_default="0"),
    Column("invalid", Integer, nullable=False, server_default="0"),
    Column("failed", Integer, nullable=False, server_default="0"),
    Column("cached", Integer, nullable=False, server_default="0"),
    Column("rollouts", Integer, nullable=False, server_default="0"),
    Column("created_at", Float, nullable=False),
    Column("started_at", Float),
    Column("finished_at", Float),
    Column("error", Text),
    Column("owner", Text),
    Column("lease_until", Float),
    UniqueConstraint("caller", "request_key", name="jobs_caller_request_key_key"),
)
"""Bulk jobs: what was asked for, how far it is, and which gateway works on it until when."""

JOB_CHUNKS = Table(
    "job_chunks",
    METADATA,
    Column("job_id", String(32), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("items_count", Integer, nullable=False),
    Column("items", LargeBinary, nullable=False),
    Column("results", LargeBinary),
)
"""The items of bulk jobs, piece by piece, and their results where they are done."""
