"""Every login's right to every object of the database, as the catalogs say.

The objects are read from PostgreSQL, so a new table, view, sequence, function or schema is in the
matrix at once; what a login may do with it follows from the rules below, and else is nothing.
"""

from collections.abc import Iterator, Mapping
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import ARRAY, Engine, Row, Text, TextClause, bindparam, text

from quantum_forge.eventstore.base.errors import NotAllowed
from quantum_forge.eventstore.database.engine import Database, make_engine
from quantum_forge.eventstore.database.installation import migrations
from quantum_forge.eventstore.database.installation.bindings import bind_login
from quantum_forge.eventstore.database.installation.roles import PURPOSES
from quantum_forge.eventstore.log.append import append
from quantum_forge.eventstore.server.embedded import EmbeddedServer
from quantum_forge.projections.project.projector import catch_up
from quantum_forge.projections.rebuild import rebuild
from quantum_forge.projections.registry import PROJECTIONS
from quantum_forge.schema.language.table import is_secret
from tests.eventstore.database.test_roles_and_tenants import OURS, THEIRS, created

READS = "SELECT"
WRITES = "DELETE, INSERT, SELECT, UPDATE"

RELATIONS: Mapping[str, Mapping[str, str]] = {
    "read model": {
        "qforge_reader": READS,
        "qforge_auditor": READS,
        "qforge_projector": WRITES,
        "qforge_admin": WRITES,
    },
    "log": {"qforge_auditor": READS, "qforge_projector": READS, "qforge_admin": READS},
    "checkpoints": {
        "qforge_reader": READS,
        "qforge_auditor": READS,
        "qforge_projector": WRITES,
        "qforge_admin": WRITES,
    },
    "shown": dict.fromkeys(
        ("qforge_reader", "qforge_auditor", "qforge_projector", "qforge_admin"), READS
    ),
    "revision": dict.fromkeys(PURPOSES, READS),
    "bindings": {"qforge_admin": WRITES},
    "private": {},
}
"""The rights of each role to each kind of relation."""

KINDS = {
    "event_logs": "log",
    "event_streams": "log",
    "activity_logs": "log",
    "projection_checkpoints": "checkpoints",
    "projection_dead_letters": "checkpoints",
    "projection_copies": "shown",
    "published_head": "shown",
    "append_locks": "shown",
    "system_health": "shown",
    "database_stats": "shown",
    "event_logs_id_seq": "shown",
    "qforge_version": "revision",
    "login_bindings": "bindings",
}
"""The kinds of what is no read model; partitions and what is not named are private."""

_READERS = frozenset({"qforge_reader", "qforge_auditor", "qforge_projector", "qforge_admin"})
FUNCTIONS: Mapping[str, frozenset[str]] = {
    "append_events": frozenset({"qforge_appender", "qforge_worker", "qforge_admin"}),
    "prepare_load": frozenset({"qforge_admin"}),
    "load_events": frozenset({"qforge_admin"}),
    "maintain_event_partitions": frozenset({"qforge_projector", "qforge_admin"}),
    "publish_head": frozenset({"qforge_projector", "qforge_admin"}),
    "current_tenant": frozenset(PURPOSES),
    "acts_for_every_tenant": frozenset(PURPOSES),
    "append_lock_key": frozenset(PURPOSES),
    "append_evidence": frozenset(PURPOSES),
    "person_of_login": frozenset(PURPOSES),
    "last_assigned_position": _READERS,
    "safe_head": _READERS,
    "event_partitions": _READERS,
    "merge_payloads": _READERS,
    "merge_tallies": _READERS,
    "upcast_payload": _READERS,
    "short_facts": _READERS,
    "count_visible_events": _READERS,
    "count_visible_events_by_type": _READERS,
    "count_visible_rows": _READERS,
    "rows_with_words": _READERS,
}
"""Who may call which function; one that is not named is the owner's alone."""

MEMBERS: Mapping[str, tuple[str, ...]] = {
    "owner": (),
    "nobody": (),
    "gateway": (),
    "service": (),
    "admin": ("qforge_admin",),
    "projector": ("qforge_projector",),
    "appender": ("qforge_appender",),
    "worker": ("qforge_worker",),
    "auditor": ("qforge_auditor",),
    "reader": ("qforge_reader",),
    "bound_reader": ("qforge_reader",),
    "bound_auditor": ("qforge_auditor",),
    "person": ("qforge_auditor", "qforge_appender"),
}
"""The logins. To `gateway` and `service` everything that is made is granted by default, and
`service` bypasses row-level security, as on hosts of databases; `nobody` has what PUBLIC has."""

_MATRIX = text("""
    WITH logins AS (
        SELECT name, prefix || name AS login
          FROM unnest(:names) AS name, (SELECT CAST(:prefix AS text)) AS p(prefix)
    ), spaces AS (
        SELECT oid, nspname FROM pg_namespace WHERE nspname !~ '^pg_|^information_schema'
    ), relations AS (
        SELECT c.oid, c.relname AS name, nspname AS space, c.relkind, c.relispartition
          FROM pg_class AS c JOIN spaces ON spaces.oid = c.relnamespace
         WHERE c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f')
    )
    SELECT l.name AS login, r.space, r.name, r.relkind = 'S' AS is_sequence, r.relispartition,
           array_to_string(ARRAY(
               SELECT privilege FROM unnest(CASE r.relkind WHEN 'S'
                   THEN ARRAY['SELECT', 'UPDATE', 'USAGE']
                   ELSE ARRAY['DELETE', 'INSERT', 'REFERENCES', 'SELECT', 'TRIGGER', 'TRUNCATE',
                              'UPDATE'] END) AS privilege
                WHERE CASE r.relkind WHEN 'S' THEN has_sequence_privilege(l.login, r.oid, privilege)
                           ELSE has_table_privilege(l.login, r.oid, privilege) END
                ORDER BY privilege), ', ') AS rights,
           ARRAY(SELECT format('%s (%s)', privilege, a.attname)
                   FROM pg_attribute AS a,
                        unnest(ARRAY['INSERT', 'REFERENCES', 'SELECT', 'UPDATE']) AS privilege
                  WHERE a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
                    AND r.relkind <> 'S'
                    AND NOT has_table_privilege(l.login, r.oid, privilege)
                    AND has_column_privilege(l.login, r.oid, a.attnum, privilege)
                  ORDER BY 1) AS columns
      FROM logins AS l CROSS JOIN relations AS r
""").bindparams(bindparam("names", type_=ARRAY(Text)))
_CALLS = text("""
    SELECT n AS login, p.proname AS name,
           has_function_privilege(:prefix || n, p.oid, 'EXECUTE') AS may
      FROM unnest(:names) AS n
     CROSS JOIN pg_proc AS p JOIN pg_namespace AS s ON s.oid = p.pronamespace
     WHERE s.nspname !~ '^pg_|^information_schema'
""").bindparams(bindparam("names", type_=ARRAY(Text)))
_SPACES = text("""
    SELECT n AS login, s.nspname AS name,
           has_schema_privilege(:prefix || n, s.oid, 'USAGE') AS uses,
           has_schema_privilege(:prefix || n, s.oid, 'CREATE') AS makes
      FROM unnest(:names) AS n CROSS JOIN pg_namespace AS s
     WHERE s.nspname !~ '^pg_|^information_schema'
""").bindparams(bindparam("names", type_=ARRAY(Text)))


class Hosted:
    """A database of an owner who is no superuser, with the logins, each named after its prefix."""

    def __init__(self, database: Database, prefix: str) -> None:
        self.database = database
        self.prefix = prefix

    def engine(self, login: str) -> Engine:
        """Return an engine of a login."""
        return make_engine(self.database.url.set(username=self.prefix + login))


@pytest.fixture(scope="module")
def hosted(server: EmbeddedServer, administrator: Engine, template: str) -> Iterator[Hosted]:
    """Return a database with events of two tenants, projected, and a copy kept by a rebuild."""
    assert template, "the roles are there"
    prefix = f"m{uuid4().hex[:6]}_"
    names = {login: prefix + login for login in MEMBERS}
    with administrator.connect() as connection:
        for login, roles in MEMBERS.items():
            member = f"IN ROLE {', '.join(roles)}" if roles else ""
            bypass = "BYPASSRLS" if login == "service" else ""
            connection.exec_driver_sql(f"CREATE ROLE {names[login]} LOGIN {bypass} {member}")
        connection.exec_driver_sql(
            f"CREATE DATABASE {prefix}matrix OWNER {names['owner']} TEMPLATE template0"
        )
    database = Database(make_engine(server.url(f"{prefix}matrix")))
    with database.engine.begin() as connection:
        connection.exec_driver_sql(f"ALTER SCHEMA public OWNER TO {names['owner']}")
        for what in ("TABLES", "SEQUENCES", "FUNCTIONS", "SCHEMAS"):
            connection.exec_driver_sql(
                f"ALTER DEFAULT PRIVILEGES FOR ROLE {names['owner']} GRANT ALL ON {what} TO PUBLIC,"
                f" {names['gateway']}, {names['service']}"
            )
    hosted = Hosted(database, prefix)
    owner = hosted.engine("owner")
    migrations.upgrade(owner)
    bind_login(owner, names["bound_reader"], OURS)
    bind_login(owner, names["bound_auditor"], OURS)
    with database.engine.begin() as connection:
        append(connection, [created(OURS), created(THEIRS)])
    catch_up(database.engine, PROJECTIONS.values())
    rebuild(owner, PROJECTIONS["molecules"], keep=True)
    owner.dispose()
    yield hosted
    database.close()
    with administrator.connect() as connection:
        connection.exec_driver_sql(f"DROP DATABASE {prefix}matrix WITH (FORCE)")
        connection.exec_driver_sql(f"DROP ROLE {', '.join(names.values())}")


def rows(hosted: Hosted, query: TextClause) -> list[Row[Any]]:
    """The matrix, without the owner, who may do everything."""
    names = [login for login in MEMBERS if login != "owner"]
    with hosted.database.engine.connect() as connection:
        return list(connection.execute(query, {"names": names, "prefix": hosted.prefix}))


def kind_of(row: Row[Any]) -> str:
    """The kind of a relation."""
    # A kept table has the rights that it had while it was live, in a schema that nobody enters.
    if row.space not in {"public", "qforge_kept"} or row.relispartition:
        return "private"
    return "read model" if row.name in PROJECTIONS else KINDS.get(row.name, "private")


def test_each_login_has_the_rights_of_its_roles_to_each_table_and_no_other(hosted: Hosted) -> None:
    """Tables, partitions, views, sequences and columns; copies of rebuilds, too."""
    wrong = []
    found = rows(hosted, _MATRIX)
    for row in found:
        roles = RELATIONS[kind_of(row)]
        given = {
            right
            for role in MEMBERS[row.login]
            if role in roles
            for right in roles[role].split(", ")
        }
        columns = []
        if kind_of(row) == "read model" and set(MEMBERS[row.login]) == {"qforge_reader"}:
            # Of a table with secrets a reader sees the other columns.
            shown = [c.name for c in PROJECTIONS[row.name].table.columns if not is_secret(c)]
            if len(shown) < len(PROJECTIONS[row.name].table.columns):
                given, columns = set(), sorted(f"SELECT ({name})" for name in shown)
        if (row.rights, sorted(row.columns)) != (", ".join(sorted(given)), columns):
            wrong.append((row.login, f"{row.space}.{row.name}", row.rights, row.columns))
    assert wrong == []
    relations = {(row.space, row.name) for row in found}
    assert len(found) == len(relations) * (len(MEMBERS) - 1)
    assert {name for _, name in relations} >= {*PROJECTIONS, *KINDS}
    assert ("qforge_kept", "molecules") in relations


def test_each_login_may_call_the_functions_of_its_roles_and_no_other(hosted: Hosted) -> None:
    """Neither what guards the log, nor what only other functions call."""
    found = rows(hosted, _CALLS)
    wrong = [
        (row.login, row.name, row.may)
        for row in found
        if row.may != bool(FUNCTIONS.get(row.name, frozenset()) & {*MEMBERS[row.login]})
    ]
    assert wrong == []
    assert {row.name for row in found} > FUNCTIONS.keys()


def test_no_login_enters_another_schema_or_makes_anything(hosted: Hosted) -> None:
    """What is in the private schemas is out of reach even where it is granted."""
    wrong = [
        (row.login, row.name, row.uses, row.makes)
        for row in rows(hosted, _SPACES)
        if (row.uses, row.makes) != (row.name == "public", False)
    ]
    assert wrong == []


TENANTS: Mapping[str, set[UUID]] = {
    "owner": {OURS, THEIRS},
    "admin": {OURS, THEIRS},
    "projector": {OURS, THEIRS},
    "auditor": {THEIRS},
    "reader": {THEIRS},
    "person": {THEIRS},
    "bound_reader": {OURS},
    "bound_auditor": {OURS},
}
"""Whose rows each login sees that acts for THEIRS; the others are refused."""


@pytest.mark.parametrize("login", MEMBERS)
def test_each_login_sees_the_rows_of_its_tenant_in_each_table_that_it_may_read(
    hosted: Hosted, login: str
) -> None:
    """Row-level security is on every table with a tenant, whatever was granted by default."""
    engine = hosted.engine(login)
    seen: dict[str, set[UUID]] = {}
    with hosted.database.engine.connect() as connection:
        tables = (
            connection.execute(
                text(
                    "SELECT c.oid::regclass::text AS name FROM pg_class AS c JOIN pg_attribute AS a"
                    " ON a.attrelid = c.oid JOIN pg_namespace AS n ON n.oid = c.relnamespace"
                    " WHERE a.attname = 'tenant_id' AND c.relkind IN ('r', 'p', 'v')"
                    " AND n.nspname !~ '^pg_|^information_schema' AND c.relname <> 'login_bindings'"
                )
            )
            .scalars()
            .all()
        )
    with engine.connect() as connection:
        for table in tables:
            connection.exec_driver_sql(f"SET qforge.tenant_id = '{THEIRS}'")
            try:
                query = text(f"SELECT DISTINCT tenant_id FROM {table}")
                seen[table] = set(connection.scalars(query))
            except NotAllowed:
                connection.rollback()
    engine.dispose()

    assert len(tables) > len(PROJECTIONS)
    if login not in TENANTS:
        assert seen == {}
        return
    everywhere = set().union(*seen.values())
    assert everywhere == TENANTS[login]
    assert seen["molecules"] == TENANTS[login]
