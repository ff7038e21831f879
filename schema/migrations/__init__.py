"""Migrations of the schema, run by alembic."""

VERSION_TABLE = "qforge_version"
"""Holds the revision; other programs use Alembic's own name for it, `alembic_version`."""
