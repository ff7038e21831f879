"""How a migration runs the SQL that is frozen beside it."""

import re
from importlib.resources import files
from pathlib import Path

from alembic import op
from sqlalchemy import text


def run_sql(module: str, suffix: str = "") -> None:
    """Run the SQL beside a migration's module, as it is: a colon in it is a colon."""
    path = Path(module)
    sql = path.with_name(f"{path.stem}{suffix}.sql").read_text(encoding="utf-8")
    op.execute(text(sql.replace(":", r"\:")))


def run_frozen(name: str) -> None:
    """Run `versions/<name>.sql` as it is: a colon in it is a colon."""
    sql = (files("quantum_forge.schema.migrations.versions") / f"{name}.sql").read_text(
        encoding="utf-8"
    )
    op.execute(text(sql.replace(":", r"\:")))


def drop_read_models(*names: str) -> None:
    """Drop tables and forget how far their projections had come; the log keeps what they tell."""
    quoted = ", ".join(f"'{name}'" for name in names)
    op.execute(f"""
        DROP TABLE {", ".join(names)};
        DELETE FROM projection_checkpoints WHERE projection IN ({quoted})
    """)


def replace_functions(name: str, *functions: str) -> None:
    """Give functions the definitions and comments that `versions/<name>.sql` holds."""
    sql = (files("quantum_forge.schema.migrations.versions") / f"{name}.sql").read_text(
        encoding="utf-8"
    )
    for function in functions:
        found = re.search(
            rf"^CREATE (?:OR REPLACE )?(FUNCTION {function}\(.*?"
            rf"^COMMENT ON FUNCTION {function}\(.*?';)$",
            sql,
            re.DOTALL | re.MULTILINE,
        )
        assert found is not None, f"{name}.sql defines no {function}"
        op.execute(text(f"CREATE OR REPLACE {found[1]}".replace(":", r"\:")))
