"""Locks that keep entities in the states which events of other entities need."""

import zlib
from collections.abc import Iterable

from sqlalchemy import ARRAY, Boolean, Connection, Integer, bindparam, text
from sqlalchemy.exc import OperationalError

from quantum_forge.eventstore.base.envelope import Stream
from quantum_forge.eventstore.base.errors import LockHeld
from quantum_forge.eventstore.database.advisory_locks import RULES_SPACE, Purpose, refuse_foreign
from quantum_forge.schema.language.lifecycle import depth

BUCKETS = 256

LOCK_SECONDS = 30
"""Seconds for which a transaction waits for locks, unless its session has a limit of its own."""

_HOLD = text("""
    SELECT CASE WHEN alone THEN pg_advisory_xact_lock(:space, bucket)
                ELSE pg_advisory_xact_lock_shared(:space, bucket) END
      FROM (SELECT set_config('lock_timeout', coalesce(
                       nullif(current_setting('lock_timeout'), '0'), :limit), true) OFFSET 0) AS l
     CROSS JOIN (SELECT * FROM unnest(:buckets, :alone) AS wanted(bucket, alone)
                  ORDER BY bucket) AS w
""").bindparams(
    bindparam("buckets", type_=ARRAY(Integer)),
    bindparam("alone", type_=ARRAY(Boolean)),
    # Of two numbers, so that it is no append lock, which has one: see safe_head.
    bindparam("space", RULES_SPACE),
    bindparam("limit", f"{LOCK_SECONDS}s"),
)


def hold(
    connection: Connection, streams: Iterable[Stream] = (), *, exclusively: Iterable[Stream] = ()
) -> None:
    """Keep entities in the states that others need, until the transaction ends; returns nothing.

    Whoever needs the state holds the entity, together with others; whoever has it leave that state
    holds it exclusively. What is read in a later statement stays true. Who calls it twice holds the
    entities of least depth first, so that no two wait for each other.

    Raises:
        LockHeld: when another session holds one for longer than LOCK_SECONDS.
    """
    shared, alone = _buckets(streams), _buckets(exclusively)
    # In one order for everybody; a bucket that is held exclusively needs no shared hold.
    buckets = sorted({*shared, *alone})
    if buckets:
        wanted = {"buckets": buckets, "alone": [b in alone for b in buckets]}
        try:
            connection.execute(_HOLD, wanted)
        except OperationalError as error:
            if getattr(error.orig, "sqlstate", None) != "55P03":
                raise
            with connection.engine.connect() as another:
                holders = refuse_foreign(another, Purpose.RULES)
            holder = str(holders[0]) if holders else "a session that has ended meanwhile"
            raise LockHeld(Purpose.RULES, holder, holders[0].pid if holders else None) from error


def _buckets(streams: Iterable[Stream]) -> set[int]:
    """A few numbers for any number of streams; what is needed comes before what needs it."""
    depths: dict[str, int] = {}
    buckets = set()
    for stream in streams:
        if stream.entity_type not in depths:
            depths[stream.entity_type] = depth(stream.entity_type)
        bucket = zlib.crc32(f"{stream.tenant_id}/{stream}".encode()) % BUCKETS
        buckets.add(depths[stream.entity_type] * BUCKETS + bucket)
    return buckets
