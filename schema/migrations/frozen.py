"""How a migration runs the SQL that is frozen beside it, and where the revision is kept."""

from pathlib import Path

from alembic import op
from sqlalchemy import text


def run_sql(module: str, suffix: str = "") -> None:
    """Run the SQL beside a migration's module, as it is: a colon in it is a colon."""
    path = Path(module)
    sql = path.with_name(f"{path.stem}{suffix}.sql").read_text(encoding="utf-8")
    op.execute(text(sql.replace(":", r"\:")))
