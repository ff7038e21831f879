"""How a migration runs the SQL that is frozen beside it."""

from importlib.resources import files

from alembic import op
from sqlalchemy import text


def run_frozen(name: str) -> None:
    """Run `versions/<name>.sql` as it is: a colon in it is a colon."""
    sql = (files("schema.migrations.versions") / f"{name}.sql").read_text(encoding="utf-8")
    op.execute(text(sql.replace(":", r"\:")))


def drop_read_models(*names: str) -> None:
    """Drop tables and forget how far their projections had come; the log keeps what they tell."""
    quoted = ", ".join(f"'{name}'" for name in names)
    op.execute(f"""
        DROP TABLE {", ".join(names)};
        DELETE FROM projection_checkpoints WHERE projection IN ({quoted})
    """)
