"""Run by Alembic for every command: migrates the connection that it is given.

There is no ``alembic.ini``; :mod:`reward_server.storage.schema` hands everything over.
"""

from alembic import context

from reward_server.storage.tables import METADATA

__all__: list[str] = []

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
