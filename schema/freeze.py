"""Print the SQL of tables as they are declared now, to be frozen in a migration.

python -m schema.freeze molecules calculations > schema/migrations/versions/0002_chemistry.sql
"""

import sys

from schema.create import ddl_of
from schema.sql import OBJECTS, sql_of
from schema.tables import METADATA


def main(names: list[str]) -> None:
    """Print tables and, after them, SQL objects by name."""
    tables = [METADATA.tables[name] for name in names if name in METADATA.tables]
    objects = [name for name in names if name in OBJECTS]
    unknown = set(names) - {table.name for table in tables} - set(objects)
    if unknown or not names:
        sys.exit(f"unknown: {', '.join(sorted(unknown))}" if unknown else __doc__)
    sys.stdout.write(ddl_of(tables) + "\n".join(sql_of(name) for name in objects))


if __name__ == "__main__":
    main(sys.argv[1:])
