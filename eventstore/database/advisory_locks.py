"""Advisory locks with this program's keys: their holders, waiters and roles.

Any login may take an advisory lock with any key. Appends never wait for one (`hold_append_floor`),
and readers heed those of appends only (`append_locks`). The others here keep two of a kind from
working at the same time: two migrations, two rebuilds of a table. A holder that could not do that
work anyhow is an error that names it, and is not waited for.
"""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum

import msgspec
from sqlalchemy import ARRAY, Connection, Text, bindparam, text

from quantum_forge.eventstore.base.errors import LockHeld

MIGRATION_KEY = 0x7146_6F72_6765_4D69
"""Advisory lock of migrations: "qForgeMi" in ASCII."""

RULES_SPACE = 0x5146726C
"""The first of two keys of the locks of rules: "QFrl" in ASCII."""


class Purpose(StrEnum):
    """What an advisory lock keeps others from doing."""

    MIGRATIONS = "migrations"
    REBUILDS = "rebuilds"
    RULES = "recording by rules"
    APPENDS = "appends"


class LockHolder(msgspec.Struct, frozen=True, kw_only=True):
    """A session that holds or awaits an advisory lock with a key of this program's.

    key: the second key, of those with two. since: when its transaction began, or else it
    connected. is_foreign: it may not do the work that the key is for; false where unknown. None:
    what the server does not show to this user.
    """

    purpose: Purpose
    key: int
    pid: int | None
    user: str | None
    application: str | None
    since: datetime | None
    mode: str
    granted: bool
    is_foreign: bool

    def __str__(self) -> str:
        if self.pid is None:
            return "a prepared transaction"
        since = "" if self.since is None else f", since {self.since.isoformat(timespec='seconds')}"
        verb = "holds" if self.granted else "awaits"
        return (
            f"pid {self.pid}, user {self.user}, application {self.application!r}{since}, {verb} "
            f"the key of {self.purpose}"
        )


_KEYS = text("""
    WITH keyed AS (
        SELECT l.pid, l.mode, l.granted, l.objid::bigint AS key,
               CASE WHEN l.objsubid = 2 AND l.classid::bigint = :rules THEN 'recording by rules'
                    WHEN l.objsubid = 2
                         AND l.classid::bigint = hashtext('rebuild')::bigint & 4294967295
                        THEN 'rebuilds'
                    WHEN l.objsubid = 1 AND k.whole = :migration THEN 'migrations'
                    -- Shared ones: see append_locks.
                    WHEN l.objsubid = 1 AND k.whole >> 48 = 20806 AND l.mode <> 'ShareLock'
                        THEN 'appends'
                END AS purpose
          FROM pg_locks AS l
         CROSS JOIN LATERAL (SELECT (l.classid::bigint << 32) | l.objid::bigint AS whole) AS k
         WHERE l.locktype = 'advisory'
           AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
    )
    SELECT k.purpose, k.key, k.pid, a.usename AS user, a.application_name AS application,
           coalesce(a.xact_start, a.backend_start) AS since, k.mode, k.granted,
           -- No append holds its key exclusively.
           coalesce(k.purpose = 'appends' OR NOT (
               r.rolsuper OR pg_has_role(r.oid, d.datdba, 'MEMBER')
               OR CASE WHEN k.purpose = 'migrations'
                       THEN has_schema_privilege(r.oid, 'public', 'CREATE')
                       ELSE EXISTS (SELECT FROM pg_roles AS g
                                     WHERE g.rolname IN ('qforge_appender', 'qforge_worker',
                                                         'qforge_projector', 'qforge_admin')
                                       AND pg_has_role(r.oid, g.oid, 'MEMBER')) END),
               false) AS is_foreign
      FROM keyed AS k
      JOIN pg_database AS d ON d.datname = current_database()
      LEFT JOIN pg_stat_activity AS a ON a.pid = k.pid
      LEFT JOIN pg_roles AS r ON r.oid = a.usesysid
     WHERE k.purpose = ANY (:purposes)
     ORDER BY k.purpose, NOT k.granted, k.pid
""").bindparams(
    bindparam("purposes", type_=ARRAY(Text)),
    rules=RULES_SPACE,
    migration=MIGRATION_KEY,
)


def key_holders(
    connection: Connection, purposes: Sequence[Purpose] = tuple(Purpose)
) -> list[LockHolder]:
    """Who holds or awaits keys, by purpose, holders first; of appends, only exclusive ones.

    Needs no table, and may be asked before the first migration.
    """
    rows = connection.execute(_KEYS, {"purposes": [str(purpose) for purpose in purposes]})
    return [LockHolder(**{**row, "purpose": Purpose(row["purpose"])}) for row in rows.mappings()]


def refuse_foreign(connection: Connection, purpose: Purpose) -> list[LockHolder]:
    """The other sessions that hold the keys of a purpose.

    Raises:
        LockHeld: when one of them may not do what the key is for.
    """
    found = [each for each in key_holders(connection, [purpose]) if each.granted]
    for each in found:
        if each.is_foreign:
            raise LockHeld(str(purpose), str(each), each.pid)
    return found
