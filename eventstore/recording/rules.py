"""Appending by the rules: what may not happen now, by the lifecycle of its entity, is refused.

The streams are read, their rules checked, and the events appended at the versions that were read.
Where somebody else was faster, all of that is done again, so that a rule holds whoever writes.
"""

import time
import zlib
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import cache
from uuid import UUID

import msgspec
from sqlalchemy import (
    ARRAY,
    Boolean,
    Connection,
    Engine,
    Integer,
    Text,
    Uuid,
    bindparam,
    select,
    text,
)
from sqlalchemy.exc import OperationalError

from quantum_forge.eventstore.base.envelope import (
    ANY_VERSION,
    MUST_EXIST,
    MUST_NOT_EXIST,
    NewEvent,
    Placed,
    Stream,
)
from quantum_forge.eventstore.base.errors import EventRefused, LockHeld, RuleBroken, VersionConflict
from quantum_forge.eventstore.database.advisory_locks import RULES_SPACE, Purpose, refuse_foreign
from quantum_forge.eventstore.database.availability.outage import pause_after
from quantum_forge.eventstore.database.time_limit import begin_within
from quantum_forge.eventstore.log.append import append, translated_errors
from quantum_forge.eventstore.recording.latest_fields import latest_ids
from quantum_forge.schema.domains import LIFECYCLES
from quantum_forge.schema.language.event import Event
from quantum_forge.schema.language.lifecycle import NEW, When, depth, needed_states, rule_of
from quantum_forge.schema.tables import event_logs

TRIES = 12
"""How often an append is decided anew because others wrote to the same streams meanwhile."""

FIRST_PAUSE = 0.004
LONGEST_PAUSE = 0.25
"""Seconds at most before an append is decided anew: they double from one to the other."""

CHUNK = 5_000
"""Events sent by one statement; an append of more is several statements of one transaction."""

# The type is compared as an expression, which no index has: without statistics, as after a load,
# the planner would read all events of these types for every stream.
_STANDINGS = text("""
    SELECT head.entity_id, head.version,
           (SELECT event_type FROM event_logs AS log
             WHERE log.entity_id = head.entity_id AND log.entity_type = head.entity_type
               AND log.tenant_id = head.tenant_id AND log.id >= head.first_position
               AND log.event_type || '' = ANY (:deciding)
             ORDER BY log.version DESC LIMIT 1) AS event_type
      FROM event_streams AS head
     WHERE head.tenant_id = :tenant_id AND head.entity_type = :entity_type
       AND head.entity_id = ANY (:entity_ids)
""").bindparams(
    bindparam("deciding", type_=ARRAY(Text)),
    bindparam("tenant_id", type_=Uuid),
    bindparam("entity_ids", type_=ARRAY(Uuid)),
)


Learn = Callable[[Sequence[NewEvent], Sequence[Placed], Mapping[Stream, str]], object]
"""Called with events that were appended, where they are, and the states of their streams."""

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


class Standing(msgspec.Struct, frozen=True):
    """How far a stream has come: its version, and the state of its entity by its lifecycle."""

    version: int
    state: str


def read_standings(connection: Connection, streams: Iterable[Stream]) -> dict[Stream, Standing]:
    """How each of these streams stands; one that does not exist is new, at version 0.

    Of an entity without a lifecycle the state is always new. Needs the right to read the log.
    """
    alike: dict[tuple[UUID, str], dict[UUID, Stream]] = defaultdict(dict)
    for stream in streams:
        alike[stream.tenant_id, stream.entity_type][stream.entity_id] = stream
    found: dict[Stream, Standing] = {}
    for (tenant_id, entity_type), by_id in alike.items():
        lifecycle = LIFECYCLES.get(entity_type)
        rules = {} if lifecycle is None else lifecycle.rules
        leading = {name: rule.then for name, rule in rules.items() if rule.then is not None}
        found |= dict.fromkeys(by_id.values(), Standing(0, NEW))
        parameters = {
            "tenant_id": tenant_id,
            "entity_type": entity_type,
            "entity_ids": list(by_id),
            "deciding": list(leading),
        }
        with translated_errors():
            for row in connection.execute(_STANDINGS, parameters):
                state = leading.get(row.event_type, NEW)
                found[by_id[row.entity_id]] = Standing(row.version, state)
    return found


def checked(
    connection: Connection, events: Sequence[NewEvent]
) -> tuple[list[NewEvent], dict[Stream, str]]:
    """The events at the versions at which their streams let them happen, and the states after them.

    Each is checked against the state that those before it lead to. An expected version that an
    event has already is left as it is. Until the transaction ends, an entity that one of them needs
    in a state cannot leave it.

    Raises:
        RuleBroken: for the first event that may not happen now.
        VersionConflict: for the first that expects another version than that of its stream.
    """
    ruled = {event.stream for event in events if event.stream.entity_type in LIFECYCLES}
    needed = {stream for event in events for stream, _ in _needs(event)}
    hold(connection, needed, exclusively=_left(events))
    standings = read_standings(connection, ruled | needed)
    return conform(events, standings, _Carried(connection, events))


def conform(
    events: Sequence[NewEvent],
    standings: Mapping[Stream, Standing],
    carried: "_Carried | None" = None,
) -> tuple[list[NewEvent], dict[Stream, str]]:
    """The events at the versions of these standings, and the state of each stream after them.

    Args:
        events: in order; each is checked against the state that those before it lead to.
        standings: of every stream that an event with a rule goes to or needs.
        carried: what earlier events say; None where no rule asks for it.

    Raises:
        RuleBroken: for the first event that may not happen.
        VersionConflict: for the first that expects another version than that of its stream.
    """
    states = {stream: standing.state for stream, standing in standings.items()}
    given = {event.stream for event in events if event.expected_version is not ANY_VERSION}
    result: list[NewEvent] = []
    for event in events:
        stream, event_type = event.stream, event.event.event_type
        if (rule := rule_of(type(event.event))) is not None:
            version = standings[stream].version
            _require_version(event, stream, version)
            if (state := states[stream]) not in rule.states:
                raise RuleBroken(str(stream), state, event_type, rule.states)
            if rule.needs:
                for other, needs in _needs(event):
                    if states[other] != needs:
                        raise RuleBroken(str(other), states[other], event_type, (needs,))
            if rule.then is not None:
                states[stream] = rule.then
            if carried is not None:
                event = carried.into(event, rule)
            if event.expected_version is ANY_VERSION and stream not in given:
                event = msgspec.structs.replace(event, expected_version=version)
        result.append(event)
    return result, states


def _require_version(event: NewEvent, stream: Stream, version: int) -> None:
    expected = event.expected_version
    if expected is ANY_VERSION or expected == version or (expected == MUST_EXIST and version):
        return
    raise VersionConflict(str(stream), expected, version)


def foresee(
    events: Sequence[NewEvent], known: Callable[[Stream], Standing | None]
) -> dict[Stream, Standing] | None:
    """The standings that these events can be checked by without asking the database.

    They are assumptions: the append expects their versions, so a wrong one is a conflict. A stream
    that is not known is assumed to be new where the event may begin it.

    Returns:
        None where an event depends on other entities, or nothing is known of a stream.
    """
    standings: dict[Stream, Standing] = {}
    for event in events:
        rule = rule_of(type(event.event))
        if rule is None:
            continue
        if not _stands_alone(type(event.event), len(LIFECYCLES)):
            return None
        if rule.needs and any(_needs(event)):
            return None
        if (stream := event.stream) in standings:
            continue
        expected = event.expected_version
        standing = known(stream)
        if expected == MUST_NOT_EXIST or (standing is None and expected is ANY_VERSION):
            if expected is ANY_VERSION and NEW not in rule.states:
                return None
            standing = Standing(0, NEW)
        elif standing is None or expected not in (ANY_VERSION, standing.version):
            return None
        standings[stream] = standing
    return standings


@cache
def _stands_alone(cls: type[Event], _: int) -> bool:
    """Whether an event takes nothing from earlier ones, and no other entity minds it.

    The second argument is how many lifecycles there are: each may need a state of this entity.
    """
    rule = rule_of(cls)
    return rule is None or not (
        rule.carries or rule.lacks or _leaves_needed(rule, needed_states(cls.entity_type))
    )


def find_recorded(connection: Connection, events: Sequence[NewEvent]) -> list[Placed] | None:
    """Where these events are in the log, in the given order; None unless all of them are there.

    All of one tenant. Needs the right to read the log.
    """
    log = event_logs.c
    query = select(log.event_id, log.entity_id, log.id, log.version).where(
        log.tenant_id == events[0].tenant_id,
        log.entity_type.in_({event.event.entity_type for event in events}),
        log.entity_id.in_({event.entity_id for event in events}),
        log.event_id.in_([event.event_id for event in events]),
    )
    found = {(row.entity_id, row.event_id): row for row in connection.execute(query)}
    placed = []
    for event in events:
        row = found.get((event.entity_id, event.event_id))
        if row is None:
            return None
        placed.append(Placed(row.event_id, row.id, row.version, appended=False))
    return placed


class _Carried:
    """The ids that entities were given, for the events that repeat them or need none."""

    def __init__(self, connection: Connection, events: Sequence[NewEvent]) -> None:
        self._latest: dict[Stream, dict[str, UUID | None]] = defaultdict(dict)
        wanted: dict[tuple[UUID, str, str], list[Stream]] = defaultdict(list)
        for event in events:
            rule = rule_of(type(event.event))
            for name in (*rule.carries.values(), *rule.lacks) if rule else ():
                wanted[event.tenant_id, event.event.entity_type, name].append(event.stream)
        for (_, _, name), streams in wanted.items():
            for stream, latest in latest_ids(connection, streams, name).items():
                self._latest[stream][name] = latest

    def into(self, event: NewEvent, rule: When) -> NewEvent:
        """The event with what it repeats, which counts from now on for those after it."""
        known = self._latest.get(event.stream)
        if known is None:
            return event
        for name in rule.lacks:
            if known[name] is not None:
                raise EventRefused(
                    event.event.event_type,
                    f"the {name} is already {known[name]}, which must end first",
                )
        fields: dict[str, UUID | None] = {}
        for name, source in rule.carries.items():
            fields[name] = latest = known[source]
            if (claimed := getattr(event.event, name)) not in (msgspec.UNSET, latest):
                raise EventRefused(
                    event.event.event_type,
                    f"{name} is {claimed}, but {latest} was recorded before - at `$.{name}`",
                )
        if fields:
            payload = msgspec.structs.replace(event.event, **fields)
            event = msgspec.structs.replace(event, event=payload)
        for source in known:
            now = getattr(event.event, source, msgspec.UNSET)
            if now is not msgspec.UNSET or NEW in rule.states:
                known[source] = None if now is msgspec.UNSET else now
        return event


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


def _needs(event: NewEvent) -> Iterator[tuple[Stream, str]]:
    rule = rule_of(type(event.event))
    for name, (entity_type, state) in (rule.needs if rule else {}).items():
        if isinstance(id_ := getattr(event.event, name), UUID):
            yield Stream(event.tenant_id, entity_type, id_), state


def _left(events: Sequence[NewEvent]) -> Iterator[Stream]:
    """The entities that an event has leave a state which others may need."""
    types = {event.event.entity_type for event in events}
    needed = {entity_type: needed_states(entity_type) for entity_type in types}
    for event in events:
        rule = rule_of(type(event.event))
        if rule and _leaves_needed(rule, needed[event.event.entity_type]):
            yield event.stream


def _leaves_needed(rule: When, needed: frozenset[str]) -> bool:
    return rule.then is not None and bool(needed & {*rule.states} - {rule.then})


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


def append_checked(
    engine: Engine,
    decide: Callable[[Connection], Sequence[NewEvent]],
    *,
    tries: int | None = None,
    given: Collection[str] = (),
    seconds: float | None = None,
    until: float | None = None,
    learn: Learn = lambda *_: None,
) -> list[Placed]:
    """Append what `decide` wants, by the rules, all or none; commits.

    Args:
        engine: of the database.
        decide: reads what it needs over the connection, writes nothing, and returns the events. It
            is called again when others wrote to the same streams meanwhile. Events that follow from
            what it read of their stream expect the version that it read first.
        tries: how often it is called at most; `TRIES` unless given.
        given: streams, as text, whose expected versions the caller insists on.
        seconds: for each statement.
        until: end of the whole, by `time.monotonic`.
        learn: called with the events, their places and the states of their streams.

    Raises:
        RuleBroken: when a rule does not allow it.
        EventRefused: when a payload does not fit its type.
        VersionConflict: when others were faster every time.
        DatabaseUnreachable, sqlalchemy.exc.OperationalError: when the time is over.
    """
    attempts = 0
    while True:
        attempts += 1
        try:
            with begin_within(engine, seconds, until=until) as connection:
                events, states = checked(connection, decide(connection))
                placed = append_in_chunks(connection, events)
        except VersionConflict as conflict:
            if attempts >= (tries or TRIES) or conflict.stream in given:
                raise
            pause_after_conflict(attempts)
        else:
            learn(events, placed, states)
            return placed


def pause_after_conflict(attempts: int) -> None:
    """Sleep before an append is decided anew, so that not all who were slower come back at once."""
    time.sleep(pause_after(attempts, first=FIRST_PAUSE, longest=LONGEST_PAUSE, random_part=1))


def append_in_chunks(connection: Connection, events: Sequence[NewEvent]) -> list[Placed]:
    """Append any number of events, all or none, as `append` does; does not commit.

    More than a chunk go in the order of their streams, so that two such appends cannot block each
    other; within a stream the order is as given.
    """
    if len(events) <= CHUNK:
        return append(connection, events)
    ordered = sorted(range(len(events)), key=lambda index: events[index].stream)
    placed: dict[int, Placed] = {}
    seen: dict[Stream, int] = defaultdict(int)
    for start in range(0, len(ordered), CHUNK):
        part = ordered[start : start + CHUNK]
        before = dict(seen)
        chunk: list[NewEvent] = []
        for index in part:
            event = events[index]
            expected = event.expected_version
            if expected is not ANY_VERSION and expected >= 0 and (more := before.get(event.stream)):
                event = msgspec.structs.replace(event, expected_version=expected + more)
            seen[event.stream] += 1
            chunk.append(event)
        placed |= dict(zip(part, append(connection, chunk), strict=True))
    return [placed[index] for index in range(len(events))]
