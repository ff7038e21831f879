"""What Alembic runs for every command: migrations on a given connection, or printed as SQL."""

from alembic import context

from quantum_forge.schema.migrations import VERSION_TABLE

connection = context.config.attributes.get("connection")

if context.is_offline_mode():
    # Named parameters: with psycopg's own style every % in a function body would come out doubled.
    context.configure(
        dialect_name="postgresql",
        dialect_opts={"paramstyle": "named"},
        literal_binds=True,
        version_table=VERSION_TABLE,
    )
else:
    context.configure(connection=connection, version_table=VERSION_TABLE)

with context.begin_transaction():
    context.run_migrations()
