"""Checks of what guards the log: functions, views, triggers and rules are those that were made."""

import re
from collections.abc import Mapping

from sqlalchemy import ARRAY, Connection, Text, bindparam, text
from sqlalchemy.exc import DBAPIError

from quantum_forge.eventstore.base.counted import shortened
from quantum_forge.eventstore.base.errors import NotAllowed
from quantum_forge.eventstore.doctor.checks import declared
from quantum_forge.eventstore.doctor.checks.finding import Finding, ok, problem, psql
from quantum_forge.eventstore.doctor.checks.owner import owner_of_tables
from quantum_forge.schema.domains import METADATA, PROJECTIONS
from quantum_forge.schema.migrations import VERSION_TABLE

_DEFINITIONS = text("""
    SELECT 'FUNCTION' AS noun, p.proname::text AS name, p.oid::regprocedure::text AS signature,
           pg_get_functiondef(p.oid) AS definition, p.prosrc AS body, p.proowner AS owner,
           p.prosecdef AND NOT coalesce(p.proconfig::text LIKE '%search_path=%pg_temp%', false)
               AS unpinned
      FROM pg_proc AS p WHERE p.pronamespace = to_regnamespace(:space) AND p.prokind = 'f'
     UNION ALL
    SELECT 'AGGREGATE', p.proname, p.oid::regprocedure::text,
           concat_ws(' ', a.aggtransfn, a.aggfinalfn, a.aggcombinefn, a.aggtranstype::regtype,
                     a.agginitval, a.aggkind, p.proparallel), NULL, p.proowner, false
      FROM pg_proc AS p JOIN pg_aggregate AS a ON a.aggfnoid = p.oid
     WHERE p.pronamespace = to_regnamespace(:space)
     UNION ALL
    SELECT 'VIEW', c.relname, c.oid::regclass::text,
           concat_ws(' ', pg_get_viewdef(c.oid), c.reloptions), NULL, c.relowner, false
      FROM pg_class AS c WHERE c.relnamespace = to_regnamespace(:space) AND c.relkind = 'v'
     ORDER BY 3
""")
_TEMPORARY = text("""
    SELECT has_database_privilege(current_database(), 'TEMP')
           AND current_setting('transaction_read_only') = 'off'
""")
_SPACE = text("SELECT pg_my_temp_schema()::regnamespace::text")

_TRIGGERS = text("""
    SELECT c.oid::regclass::text AS name, t.tgname AS trigger, t.tgfoid::regproc::text AS function,
           c.oid = 'event_logs'::regclass OR i.inhrelid IS NOT NULL AS is_log,
           t.tgparentid <> 0 AS is_inherited, t.tgtype & 2 = 2 AS is_before,
           t.tgtype & 125 AS type, t.tgenabled IN ('O', 'A') AS is_enabled,
           t.tgqual IS NULL AND t.tgattr = '' AND t.tgnargs = 0 AS is_whole,
           pg_get_triggerdef(t.oid) AS definition
      FROM pg_class AS c
      JOIN pg_trigger AS t ON t.tgrelid = c.oid AND NOT t.tgisinternal
      LEFT JOIN pg_inherits AS i ON i.inhrelid = c.oid AND i.inhparent = 'event_logs'::regclass
     WHERE c.relnamespace = 'public'::regnamespace
       AND (c.relname = ANY (:tables) OR i.inhrelid IS NOT NULL)
     ORDER BY 1, 2
""").bindparams(bindparam("tables", type_=ARRAY(Text)))
_RULES = text("""
    SELECT c.oid::regclass::text AS name, r.rulename AS rule
      FROM pg_rewrite AS r JOIN pg_class AS c ON c.oid = r.ev_class
     WHERE r.rulename <> '_RETURN' AND c.relnamespace = 'public'::regnamespace
       AND (c.relname = ANY (:tables)
            OR c.oid IN (SELECT inhrelid FROM pg_inherits
                          WHERE inhparent = 'event_logs'::regclass))
     ORDER BY 1, 2
""").bindparams(bindparam("tables", type_=ARRAY(Text)))
_TABLES = text("""
    SELECT c.oid::regclass::text AS name, c.oid = 'event_logs'::regclass AS is_log
      FROM pg_class AS c
     WHERE c.oid = 'event_logs'::regclass
        OR c.oid IN (SELECT inhrelid FROM pg_inherits WHERE inhparent = 'event_logs'::regclass)
     ORDER BY is_log DESC, 1
""")
_REPLICA = text("""
    SELECT CASE WHEN d.datname IS NULL AND r.rolname IS NULL THEN 'ALTER ROLE ALL'
                WHEN r.rolname IS NULL THEN format('ALTER DATABASE %I', d.datname)
                WHEN d.datname IS NULL THEN format('ALTER ROLE %I', r.rolname)
                ELSE format('ALTER ROLE %I IN DATABASE %I', r.rolname, d.datname) END AS who
      FROM pg_db_role_setting AS s
      LEFT JOIN pg_database AS d ON d.oid = s.setdatabase
      LEFT JOIN pg_roles AS r ON r.oid = s.setrole
     WHERE (s.setdatabase = 0 OR d.datname = current_database())
       AND EXISTS (SELECT FROM unnest(s.setconfig) AS setting
                    WHERE lower(setting) = 'session_replication_role=replica')
     ORDER BY 1
""")

_CHANGE, _TRUNCATE = "event_logs_refuse_change", "event_logs_refuse_truncate"
_CREATE = {
    _CHANGE: "CREATE TRIGGER event_logs_refuse_change BEFORE UPDATE OR DELETE ON {name}"
    " FOR EACH ROW EXECUTE FUNCTION refuse_change()",
    _TRUNCATE: "CREATE TRIGGER event_logs_refuse_truncate BEFORE TRUNCATE ON {name}"
    " FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()",
}
_TYPES = {_CHANGE: 1 | 8 | 16, _TRUNCATE: 32}
"""Bits of pg_trigger.tgtype: for each row, DELETE, UPDATE; TRUNCATE. All are BEFORE."""
_ACCEPTS = {_CHANGE: "UPDATE and DELETE", _TRUNCATE: "TRUNCATE"}


def functions(connection: Connection) -> Finding:
    """Whether every function, aggregate and view is the one that this program made."""
    check = "functions"
    wanted = declared.definitions()
    names = {(each.noun, each.name) for each in wanted}
    found = _definitions(connection, "public")
    owner = owner_of_tables(connection)
    made, not_made = _made_again(connection)
    said, commands = [], []
    for each in wanted:
        here = {key: row for key, row in found.items() if key[:2] == (each.noun, each.name)}
        again = made.get((each.noun, each.name))
        if not here:
            said.append(f"{each.name} is missing")
        elif any(
            # Another signature is another function, which calls may reach instead.
            (key[2], row["definition"]) != again if again else row["body"] != each.body
            for key, row in here.items()
            if again or each.body is not None
        ):
            said.append(f"{each.name} is not as declared")
            commands += [
                psql(f"DROP {each.noun} {key[2]}")
                for key in here
                if again and key[2] != again[0] and len(here) > 1
            ]
        else:
            continue
        replacing = "CREATE" if each.noun == "AGGREGATE" else "CREATE OR REPLACE"
        commands.append(psql(each.statement.replace("CREATE", replacing, 1)))
    unpinned = [key[2] for key, row in found.items() if row["unpinned"]]
    if unpinned and not said:
        said.append(f"{shortened(unpinned)} run with their owner's rights and any search path")
        commands += [
            psql(f"ALTER FUNCTION {name} SET search_path = public, pg_temp") for name in unpinned
        ]
    strangers = [key for key, row in found.items() if key[:2] in names and row["owner"] != owner.id]
    said += [f"{key[2]} belongs to another role than the log" for key in strangers]
    commands += [psql(f"ALTER {key[0]} {key[2]} OWNER TO {owner.name}") for key in strangers]
    if said:
        return problem(check, shortened(said), "create them again as declared", *commands)
    rest = (
        f"; {shortened(not_made)} could not be compared in full, which takes the right to make"
        " temporary objects, or that of the owner"
        if not_made
        else ""
    )
    return ok(check, f"all {len(wanted)} are as declared{rest}")


def append_only(connection: Connection) -> Finding:
    """Whether the log refuses UPDATE, DELETE and TRUNCATE, and nothing changes what is inserted."""
    check = "append-only"
    said, commands = [], []
    tables = [*METADATA.tables, VERSION_TABLE]
    triggers = connection.execute(_TRIGGERS, {"tables": tables}).all()
    of_table: dict[str, dict[str, object]] = {}
    for row in triggers:
        kind = _TYPES.get(row.trigger)
        is_guard = row.is_log and row.function == "refuse_change" and row.type == kind
        if is_guard:
            of_table.setdefault(row.name, {})[row.trigger] = row
            if not row.is_enabled:
                said.append(f"{row.trigger} on {row.name} is disabled")
                commands.append(psql(f'ALTER TABLE {row.name} ENABLE TRIGGER "{row.trigger}"'))
            elif not (row.is_whole and row.is_before) and not row.is_inherited:
                said.append(f"{row.trigger} on {row.name} does not always fire")
                commands.append(psql(f'DROP TRIGGER "{row.trigger}" ON {row.name}'))
                commands.append(psql(_CREATE[row.trigger].format(name=row.name)))
        elif row.is_inherited:
            continue
        elif row.is_before or row.name not in PROJECTIONS:
            # Triggers that fire after a change of a read model may be those of other programs.
            said.append(f"{row.trigger} on {row.name} is not declared: {row.definition}")
            commands.append(psql(f'DROP TRIGGER "{row.trigger}" ON {row.name}'))
    rows = connection.execute(_TABLES).all()
    log_refuses = any(row.is_log and _CHANGE in of_table.get(row.name, {}) for row in rows)
    for row in rows:
        for trigger, what in _ACCEPTS.items():
            if trigger in of_table.get(row.name, {}):
                continue
            if trigger == _CHANGE and not row.is_log and not log_refuses:
                continue  # it comes back with that of the log
            said.append(f"{row.name} accepts {what}")
            commands.append(psql(_CREATE[trigger].format(name=row.name)))
    for row in connection.execute(_RULES, {"tables": tables}):
        said.append(f"rule {row.rule} on {row.name} is not declared")
        commands.append(psql(f'DROP RULE "{row.rule}" ON {row.name}'))
    for row in connection.execute(_REPLICA):
        said.append(f"session_replication_role is replica by {row.who}: no trigger fires")
        commands.append(psql(f"{row.who} RESET session_replication_role"))
    if said:
        return problem(check, shortened(said), "restore what was made", *commands)
    replica = connection.scalar(text("SELECT current_setting('session_replication_role')"))
    if replica == "replica":
        return problem(
            check,
            "session_replication_role is replica: no trigger fires in such a session",
            "remove the setting from the server or the client's address",
            psql("ALTER SYSTEM RESET session_replication_role"),
        )
    return ok(check, f"the log and its {len(rows) - 1} partitions refuse every change")


def _definitions(
    connection: Connection, space: str
) -> dict[tuple[str, str, str], Mapping[str, object]]:
    """The definitions in a schema, by noun, name and signature, without the name of the schema."""
    return {
        (row["noun"], row["name"], _SPACE_OF_SIGNATURE.sub("", row["signature"])): {
            **row,
            "definition": _SCHEMA.sub(r"\1", row["definition"], count=1),
        }
        for row in connection.execute(_DEFINITIONS, {"space": space}).mappings()
    }


_SPACE_OF_SIGNATURE = re.compile(r"^pg_temp(?:_\d+)?\.")
_SCHEMA = re.compile(r"(^CREATE OR REPLACE [A-Z]+ )\S+?\.")


def _made_again(
    connection: Connection,
) -> tuple[dict[tuple[str, str], tuple[str, str]], list[str]]:
    """Make every definition in the session's temporary schema, and roll back.

    PostgreSQL prints definitions in a form of its own, so both are compared as it prints them.

    Returns:
        Signature and definition by noun and name, and the names of what this login may not make.
    """
    made: dict[tuple[str, str], tuple[str, str]] = {}
    not_made: list[str] = []
    if not connection.scalar(_TEMPORARY):
        return made, [each.name for each in declared.definitions()]
    trial = connection.begin_nested()
    try:
        connection.execute(text("SET LOCAL check_function_bodies = off"))
        for each in declared.definitions():
            head = f"CREATE {each.noun} {each.name}"
            moved = each.statement.replace(head, f"CREATE {each.noun} pg_temp.{each.name}", 1)
            try:
                with connection.begin_nested():
                    connection.exec_driver_sql(moved, execution_options={"no_parameters": True})
            except (DBAPIError, NotAllowed):
                not_made.append(each.name)
        if len(not_made) < len(declared.definitions()):
            space = str(connection.scalar(_SPACE))
            for (noun, name, signature), row in _definitions(connection, space).items():
                made[noun, name] = (signature, str(row["definition"]))
    finally:
        trial.rollback()
    return made, not_made
