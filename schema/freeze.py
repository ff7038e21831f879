r"""Print the SQL of tables as they are declared now, to be frozen in a migration.

python -m quantum_forge.schema.freeze molecules calculations \
    > schema/migrations/versions/0002_chemistry.sql
"""

import sys

from quantum_forge.schema.create import ddl_of
from quantum_forge.schema.domains import METADATA
from quantum_forge.schema.sql import OBJECTS, PRELUDE, sql_of


def main(names: list[str]) -> None:
    """Print tables and other SQL objects by name, in the order given."""
    known = {*METADATA.tables, *PRELUDE, *OBJECTS}
    if not names or not known.issuperset(names):
        sys.exit(f"unknown: {', '.join(sorted(set(names) - known))}" if names else __doc__)
    for name in names:
        table = METADATA.tables.get(name)
        sys.stdout.write(sql_of(name) + "\n" if table is None else ddl_of([table]))


if __name__ == "__main__":
    main(sys.argv[1:])
