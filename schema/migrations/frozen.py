"""How a migration runs the SQL that is frozen beside it."""

from importlib.resources import files

from alembic import op
from sqlalchemy import text


def run_frozen(name: str) -> None:
    """Run `versions/<name>.sql` as it is: a colon in it is a colon."""
    sql = (files("schema.migrations.versions") / f"{name}.sql").read_text(encoding="utf-8")
    op.execute(text(sql.replace(":", r"\:")))
