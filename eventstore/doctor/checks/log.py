"""The log: append-only, room ahead, positions in order, and heads that agree with it."""

from collections.abc import Iterator

from sqlalchemy import Connection, text

from quantum_forge.eventstore.base.counted import counted, shortened
from quantum_forge.eventstore.doctor.checks.finding import (
    Finding,
    ok,
    problem,
    psql,
    warning,
)
from quantum_forge.eventstore.log.partitions import Partition, list_partitions

AHEAD = 5_000_000
"""Positions for which a partition should be there: half of one."""

SKIPPED = 1_000_000
"""Positions that rolled-back appends at the end of the log may have skipped."""

SAMPLE = 500
"""Streams: so many of those written last, and about as many of all."""

_SEQUENCE = text("""
    SELECT seqcache AS cache, seqincrement AS step, seqcycle AS cycles, seqmin AS least,
           last_assigned_position() AS last,
           (SELECT pg_get_expr(d.adbin, d.adrelid) FROM pg_attrdef AS d
              JOIN pg_attribute AS a ON a.attrelid = d.adrelid AND a.attnum = d.adnum
             WHERE d.adrelid = 'event_logs'::regclass AND a.attname = 'id')
               IS NOT DISTINCT FROM 'nextval(''event_logs_id_seq''::regclass)' AS is_default
      FROM pg_sequence WHERE seqrelid = 'event_logs_id_seq'::regclass
""")
_FACTS = """max(l.version) AS last, min(l.version) AS first, count(*) AS n,
           count(DISTINCT l.version) AS versions, count(DISTINCT l.event_id) AS ids,
           min(l.id) AS low, min(l.recorded_at) AS began"""
"""Of the events l of a stream."""

_DISAGREES = """
           (h.version, h.version, h.version, h.version, 1)
           IS DISTINCT FROM (l.last, l.n, l.versions, l.ids, l.first)
        OR l.low < h.first_position
        OR
           -- A stream's first position is the next one when its first append begins, and that ends
           -- within minutes: what lies there cannot be much older than the stream.
           (h.first_position < 1
            OR (SELECT before.recorded_at FROM event_logs AS before
                 WHERE before.id >= h.first_position ORDER BY before.id LIMIT 1)
               < l.began - interval '1 hour')"""
"""What is wrong of a head h and the facts l."""

_SAMPLED = text(f"""
    SELECT h.entity_type, h.entity_id, h.version AS head, l.last, l.n
      FROM (SELECT recent.tenant_id, recent.entity_type, recent.entity_id, s.version,
                   s.first_position
              FROM (SELECT DISTINCT tenant_id, entity_type, entity_id
                      FROM (SELECT tenant_id, entity_type, entity_id FROM event_logs
                             WHERE id > :after ORDER BY id DESC LIMIT :sample) AS last) AS recent
              LEFT JOIN event_streams AS s USING (tenant_id, entity_type, entity_id)
             UNION
            SELECT tenant_id, entity_type, entity_id, version, first_position
              FROM event_streams TABLESAMPLE SYSTEM (:percent)) AS h
     CROSS JOIN LATERAL (
           SELECT {_FACTS}
             FROM event_logs AS l
            WHERE l.entity_id = h.entity_id AND l.entity_type = h.entity_type
              AND l.tenant_id = h.tenant_id) AS l
     WHERE {_DISAGREES}
     LIMIT 20
""")
_THOROUGH = text(f"""
    SELECT entity_type, entity_id, h.version AS head, l.last, l.n
      FROM event_streams AS h
      FULL JOIN (SELECT l.tenant_id, l.entity_type, l.entity_id, {_FACTS}
                   FROM event_logs AS l
                  GROUP BY l.tenant_id, l.entity_type, l.entity_id) AS l
     USING (tenant_id, entity_type, entity_id)
     WHERE {_DISAGREES}
     LIMIT 20
""")


def partitions(connection: Connection) -> Finding:
    """Whether partitions are there ahead of the log's end, and none was missing before."""
    check = "partitions"
    found = list_partitions(connection)
    head: int = connection.execute(text("SELECT last_assigned_position()")).scalar_one()
    prepared = max((p.last_position or 0 for p in found), default=0)
    ahead = max(0, prepared - head)
    said = f"{len(found)} partitions, which end {ahead} positions ahead of the last"
    make = "qforge db maintain"
    if all(p.first_position is not None for p in found):
        return problem(
            check,
            f"{said}; there is no default partition, so appends fail where no other partition is",
            "make it",
            psql("CREATE TABLE event_logs_default PARTITION OF event_logs DEFAULT"),
            psql(
                "CREATE TRIGGER event_logs_refuse_truncate BEFORE TRUNCATE ON event_logs_default"
                " FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
            ),
            psql("ALTER TABLE event_logs_default ENABLE ROW LEVEL SECURITY"),
        )
    if ahead == 0:
        return problem(
            check,
            f"{said}: every new event goes to the default partition, and stays there",
            "create some; running projectors do so, too",
            make,
        )
    gaps = [(first, last) for first, last in _uncovered(found, prepared) if first > head]
    if gaps:
        ranges = ", ".join(f"{first} to {last}" for first, last in gaps)
        return problem(
            check,
            f"{said}; one for positions {ranges} was dropped: events there would go to the"
            " default partition",
            "make it again",
            *(psql(f"SELECT create_event_partition({first}, {last})") for first, last in gaps),
        )
    if ahead < AHEAD:
        return warning(check, said, "create more; running projectors do so, too", make)
    in_default = sum(
        _events_between(connection, first, last) for first, last in _uncovered(found, head)
    )
    if in_default:
        return warning(
            check,
            f"{said}; {in_default} events are in the default partition",
            "nothing to do: they are read like the others; keep a projector running, so that it "
            "does not happen again",
        )
    return ok(check, said)


def sequence(connection: Connection) -> Finding:
    """Whether positions are handed out one by one, upwards: what the safe head relies on."""
    check = "sequence"
    row = connection.execute(_SEQUENCE).one()
    if row.cache != 1 or row.step != 1 or row.cycles:
        return problem(
            check,
            f"event_logs_id_seq has CACHE {row.cache}, INCREMENT {row.step}"
            f"{', CYCLE' if row.cycles else ''}: readers can skip events",
            "correct it, and reconnect all sessions",
            psql("ALTER SEQUENCE event_logs_id_seq INCREMENT 1 CACHE 1 NO CYCLE"),
        )
    if row.least < 1:
        restart = " RESTART 1" if row.last < 1 else ""
        return problem(
            check,
            f"event_logs_id_seq may assign positions from {row.least}: readers begin above 0, and"
            " see no event at or below it",
            "have it begin at 1",
            psql(f"ALTER SEQUENCE event_logs_id_seq MINVALUE 1 START 1{restart}"),
        )
    if not row.is_default:
        return problem(
            check,
            "events take their positions from somewhere else than event_logs_id_seq",
            "restore the default",
            psql("ALTER TABLE event_logs ALTER id SET DEFAULT nextval('event_logs_id_seq')"),
        )
    return ok(check, f"assigns positions one by one; the last was {row.last}")


def end_of_log(connection: Connection) -> Finding:
    """Whether the sequence is at or above the last event, as it may not be after a restore."""
    check = "end of the log"
    last: int = connection.execute(text("SELECT coalesce(max(id), 0) FROM event_logs")).scalar_one()
    unseen: int = connection.execute(
        text("SELECT count(*) FROM event_logs WHERE id < 1")
    ).scalar_one()
    if unseen:
        return problem(
            check,
            f"{counted(unseen, 'event')} at or below position 0: readers and projections begin"
            " above it, and see none there",
            "look at them, and restore a backup from before into a new database; the check of the"
            " sequence names what assigned them",
            psql("SELECT id, event_type, entity_id, data FROM event_logs WHERE id < 1"),
            "QFORGE_HOME=NEW_DIRECTORY qforge db restore BACKUP",
        )
    assigned: int = connection.execute(text("SELECT last_assigned_position()")).scalar_one()
    if last > assigned:
        return problem(
            check,
            f"the last event is at {last}, but the sequence at {assigned}: it would assign "
            "positions again, and readers do not see events above it",
            "advance the sequence",
            psql(f"SELECT setval('event_logs_id_seq', {last})"),
        )
    if assigned - last > SKIPPED:
        return warning(
            check,
            f"the last event is at {last}, and the sequence {assigned - last} positions above it:"
            " appends that were rolled back skip fewer, so somebody may have set it",
            "leave it, because readers may have read up to there, and it must not be set back;"
            " create the partitions that are missing",
            "qforge db maintain",
        )
    return ok(check, f"the last event is at {last}")


def heads(connection: Connection, *, thorough: bool = False) -> Finding:
    """Whether heads agree with the log: version = last version = number of events, all distinct."""
    check = "stream heads"
    if thorough:
        rows = connection.execute(_THOROUGH).all()
        looked = "every stream agrees with its head"
    else:
        estimate: float = connection.execute(
            text(
                "SELECT greatest(reltuples, 0) FROM pg_class WHERE oid = 'event_streams'::regclass"
            )
        ).scalar_one()
        rows = connection.execute(
            _SAMPLED,
            {
                "after": connection.execute(text("SELECT last_assigned_position()")).scalar_one()
                - 100_000,
                "sample": SAMPLE,
                "percent": min(100.0, 100.0 * SAMPLE / max(estimate, 1)),
            },
        ).all()
        looked = "the sampled streams agree with the log (--thorough checks all)"
    if rows:
        said = [
            f"{row.entity_type} {row.entity_id}: head {row.head}, last version {row.last}, "
            f"{row.n or 0} events"
            for row in rows
        ]
        return problem(
            check,
            shortened(said, 3),
            "rows were written without append_events; restore from a backup, or have the history "
            "of the log examined before anything is appended to these streams",
        )
    return ok(check, looked)


def _events_between(connection: Connection, first: int, last: int) -> int:
    query = text("SELECT count(*) FROM event_logs WHERE id BETWEEN :first AND :last")
    count: int = connection.execute(query, {"first": first, "last": last}).scalar_one()
    return count


def _uncovered(partitions: list[Partition], head: int) -> Iterator[tuple[int, int]]:
    """The ranges of positions up to `head` that only the default partition takes."""
    after = 0
    for partition in partitions:
        if partition.first_position is None or partition.last_position is None:
            continue
        if partition.first_position > after + 1:
            yield after + 1, partition.first_position - 1
        after = partition.last_position
    if head > after:
        yield after + 1, head
