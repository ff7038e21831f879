"""What is appended reads back equal; what would not is refused, and the field is named."""

import json
import math
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine, text

from quantum_forge.eventstore.base.codec import decode, encode
from quantum_forge.eventstore.base.envelope import NewEvent
from quantum_forge.eventstore.base.errors import EventRefused, QuantumForgeError, UnsafeIsolation
from quantum_forge.eventstore.log.append import append, translated_errors
from quantum_forge.eventstore.log.read import read_all, read_stream
from quantum_forge.eventstore.server.embedded import EmbeddedServer
from quantum_forge.schema.domains import EVENTS
from quantum_forge.schema.domains.audit import DataExported
from quantum_forge.schema.domains.calculations import (
    Atom,
    CalculationCompleted,
    CalculationRetryScheduled,
)
from quantum_forge.schema.domains.molecules import MoleculeDeleted
from quantum_forge.schema.language.event import Event
from tests.conftest import _fresh
from tests.support.appending import (
    TENANT,
    append_and_commit,
    heads_disagreeing_with_the_log,
    positions_in_log,
    small_event,
)
from tests.support.payloads import any_event, events_of, texts

IN_A_DATABASE = settings(
    max_examples=30,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

COMPLETED = CalculationCompleted(
    molecule_id=UUID(int=3),
    batch_id=None,
    energy=-5.07,
    homo=-11.0,
    lumo=2.0,
    gap=13.0,
    dipole=2.2,
    convergence_status="converged",
    is_converged=True,
    gradient_norm=1e-4,
    wall_time_seconds=0.1,
    cpu_time_seconds=0.1,
    program="tblite",
    program_version="0.4",
    xyz_sha256="0" * 64,
    atoms=[Atom("O", 8, -0.5, 0.0, 0.0, 0.1, 0.0, 0.0, 0.0)],
)


@pytest.fixture(scope="module")
def unchanged(server: EmbeddedServer, administrator: Engine, template: str) -> Iterator[Engine]:
    """Return the engine of a database for all tests after which there is no event in it."""
    for database in _fresh(server, administrator, template=template):
        yield database.engine


# Round trips


@pytest.mark.parametrize("name", sorted(EVENTS))
@settings(deadline=None, max_examples=10)
@given(data=st.data())
def test_every_event_reads_back_equal(name: str, data: st.DataObject) -> None:
    """Encoded and decoded, an event of any registered type is the same."""
    event = data.draw(events_of(EVENTS[name]))
    assert decode(name, encode(event)) == event


@IN_A_DATABASE
@given(events=st.lists(any_event(), min_size=1, max_size=8))
def test_every_event_comes_back_equal_from_the_log(engine: Engine, events: list[Event]) -> None:
    """JSONB keeps every number to its last digit and every text to its last character."""
    entity = uuid4()
    new = [NewEvent(tenant_id=TENANT, entity_id=entity, event=event) for event in events]
    append_and_commit(engine, *new)
    with engine.connect() as connection:
        read = {
            recorded.event_id: recorded
            for stream in {event.stream for event in new}
            for recorded in read_stream(connection, stream)
        }
    assert [read[event.event_id].event for event in new] == events


@pytest.mark.parametrize(
    "value", [0.1, -0.0, 5e-324, 1.7976931348623157e308, 1 / 3, 1e22, 123456789.123456789]
)
def test_floats_keep_every_digit(connection: Connection, value: float) -> None:
    """The energy that is read is the energy that was computed, bit for bit."""
    event = new(msgspec.structs.replace(COMPLETED, energy=value))
    append(connection, [event])
    (read,) = read_stream(connection, event.stream)
    assert isinstance(read.event, CalculationCompleted)
    assert read.event.energy == value


# Refused, with the field's name


class Unregistered(Event, frozen=True, kw_only=True):
    """A payload class that nobody declared as an event."""


def changed(**fields: Any) -> CalculationCompleted:
    """A completed calculation with some fields replaced by whatever."""
    return msgspec.structs.replace(COMPLETED, **fields)


WRONG: dict[str, tuple[Event, str]] = {
    "NaN energy": (changed(energy=math.nan), r"nan .*`\$\.energy`"),
    "infinite energy": (changed(energy=math.inf), r"inf .*`\$\.energy`"),
    "minus infinite energy": (changed(energy=-math.inf), r"-inf .*`\$\.energy`"),
    "NaN where null is allowed": (changed(homo=math.nan), r"nan .*`\$\.homo`"),
    "NaN in an atom": (
        changed(atoms=[Atom("O", 8, math.nan, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)]),
        r"nan .*`\$\.atoms\[0\]\.partial_charge`",
    ),
    "infinity in free data": (
        changed(metadata={"a": {"b": [1.0, math.inf]}}),
        r"inf .*`\$\.metadata\.a\.b\[1\]`",
    ),
    "text for a number": (changed(energy="-5"), r"`\$\.energy`"),
    "null for a number": (changed(energy=None), r"`\$\.energy`"),
    "number for a text": (changed(program=4), r"`\$\.program`"),
    "a negative norm": (changed(dipole=-1.0), r"`\$\.dipole`"),
    "no atoms": (changed(atoms=[]), r"`\$\.atoms`"),
    "half an atom": (changed(atoms=[["O", 8]]), r"`\$\.atoms\[0\]`"),
    "a text that is no UUID": (changed(molecule_id="benzene"), r"`\$\.molecule_id`"),
    "a fraction for a count": (changed(scf_cycles=1.5), r"`\$\.scf_cycles`"),
    "an object that JSON has not": (changed(program=object()), "object"),
    "a set in free data": (
        changed(metadata={"a": {1, 2}}),
        r"a field changes when it is written and read back",
    ),
    "NUL": (changed(program="a\0b"), r"NUL .*`\$\.program`"),
    "NUL in a key": (changed(metadata={"a\0b": 1}), r"NUL .*`\$\.metadata"),
    "NUL deep in free data": (changed(metadata={"a": ["\0"]}), r"NUL .*`\$\.metadata\.a\[0\]`"),
    "a lone surrogate": (changed(program="\ud800"), r"surrogate"),
    "a time without a zone": (
        CalculationRetryScheduled(
            molecule_id=None,
            batch_id=None,
            attempt=1,
            delay_seconds=1.0,
            retry_at=datetime(2026, 1, 1),  # noqa: DTZ001  # the point of the test
        ),
        r"`\$\.retry_at`",
    ),
    "a class that is not registered": (Unregistered(), "Unregistered: not a registered"),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_would_not_read_back_is_refused_with_its_field(unchanged: Engine, what: str) -> None:
    """Nothing of the call is appended, not even the good event before it."""
    event, words = WRONG[what]
    with unchanged.connect() as connection:
        with pytest.raises(EventRefused, match=words):
            append(connection, [small_event(), new(event)])
        connection.commit()
        assert positions_in_log(connection) == []


def test_a_lone_surrogate_is_refused_with_its_field() -> None:
    """It can be in a file name or in what a program printed."""
    with pytest.raises(EventRefused, match=r"`\$\.metadata\.a\[1\]`"):
        encode(changed(metadata={"a": ["", "\udcff"]}))


@pytest.mark.parametrize(
    ("event_type", "data", "words"),
    [
        ("molecule_smashed", {}, "molecule_smashed: unknown event type"),
        ("batch_completed", {"total_count": 1, "successful_count": 1}, "failed_count"),
        (
            "batch_completed",
            {"total_count": "1", "successful_count": 1, "failed_count": 0},
            r"`\$\.total_count`",
        ),
        ("molecule_deleted", {"reason": None, "regret": 1}, "regret"),
        ("molecule_deleted", {"reason": 7}, r"`\$\.reason`"),
    ],
)
def test_what_the_type_does_not_know_is_refused_when_decoded(
    event_type: str, data: dict[str, Any], words: str
) -> None:
    """Whether it comes as bytes or as an object; the field is named."""
    for given_as in (data, json.dumps(data).encode()):
        with pytest.raises(EventRefused, match=words):
            decode(event_type, given_as)


@pytest.mark.parametrize("garbage", [b"", b"{", b"\xff", b"[]", b"null", b"[" * 100_000])
def test_what_is_no_object_is_refused_when_decoded(garbage: bytes) -> None:
    """Never an error of a library's."""
    with pytest.raises(EventRefused):
        decode("molecule_deleted", garbage)


# The envelope


ENVELOPES: dict[str, dict[str, Any]] = {
    "a tenant that is no UUID": {"tenant_id": "acme"},
    "an entity that is no UUID": {"entity_id": "benzene"},
    "no entity": {"entity_id": None},
    "a user that is no UUID": {"user_id": "jane"},
    "an event id that is no UUID": {"event_id": "first"},
    "an event id with a surrogate": {"event_id": "\ud800"},
    "a tenant that JSON has not": {"tenant_id": object()},
    "an expected version that is no number": {"expected_version": "latest"},
    "an expected version beyond all": {"expected_version": 2**40},
    "a fraction of a version": {"expected_version": 1.5},
    "metadata that is no object": {"metadata": [1]},
    "metadata with NaN": {"metadata": {"load": math.nan}},
    "metadata with a NUL": {"metadata": {"host": "a\0"}},
    "metadata with a lone surrogate": {"metadata": {"host": "\udcff"}},
    "metadata that JSON has not": {"metadata": {"host": object()}},
    "metadata that never ends": {"metadata": json.loads('{"a":' * 500 + "1" + "}" * 500)},
    "a time before the calendar": {
        "occurred_at": datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=14)))
    },
    "a time after the calendar": {
        "occurred_at": datetime(9999, 12, 31, 23, tzinfo=timezone(timedelta(hours=-12)))
    },
    "a text for a time": {"occurred_at": "yesterday"},
}


@pytest.mark.parametrize("what", ENVELOPES)
def test_an_envelope_that_is_wrong_is_refused(unchanged: Engine, what: str) -> None:
    """What surrounds an event is checked as the event is; the error is one of ours."""
    given_wrong = msgspec.structs.replace(small_event(), **ENVELOPES[what])
    with unchanged.connect() as connection:
        with pytest.raises(EventRefused):
            append(connection, [small_event(), given_wrong])
        connection.rollback()
        assert positions_in_log(connection) == []


# append_events itself, which others call without this codec


GOOD: dict[str, Any] = {
    "event_id": str(UUID(int=100)),
    "tenant_id": str(TENANT),
    "entity_type": "batch",
    "entity_id": str(UUID(int=7)),
    "event_type": "batch_resumed",
    "data": {"total_count": 1},
}

MALFORMED: dict[str, str] = {
    "not JSON": "[{",
    "nothing": "",
    "no array": json.dumps(GOOD),
    "null": "null",
    "a number": "3",
    "an array of numbers": "[1]",
    "an array of nulls": "[null]",
    "an array of arrays": "[[]]",
    "an empty object": "[{}]",
    "an array with NaN": "[NaN]",
    "too deep for anybody": "[" * 100_000 + "]" * 100_000,
}
REPLACED: dict[str, dict[str, Any]] = {
    "tenant_id": {"no UUID": "acme", "a number": 3, "empty": "", "null": None},
    "entity_id": {"no UUID": "x" * 100, "SQL": "'; DROP TABLE event_logs; --", "null": None},
    "event_id": {"no UUID": "1", "null": None, "an object": {"a": 1}},
    "user_id": {"no UUID": "jane"},
    "entity_type": {"null": None},
    "event_type": {"null": None},
    "data": {"null": None, "a list": [], "a text": "x", "a number": 1, "a NUL": {"a": "\0"}},
    "metadata": {"a list": [], "a text": "x", "a NUL": {"\0": 1}},
    "schema_version": {"too large": 10**6, "a text": "a"},
    "expected_version": {"too large": 2**40, "a text": "a", "a fraction": 1.5},
    "occurred_at": {
        "no time": "yesterday-ish",
        "infinite": "infinity",
        "minus infinite": "-infinity",
        "before Christ": "0044-03-15 BC",
        "in the far future": "20000-01-01",
        "in the farthest future": "400000-01-01",
    },
}
CALLS = (
    MALFORMED
    | {f"no {name}": json.dumps([{k: v for k, v in GOOD.items() if k != name}]) for name in GOOD}
    | {
        f"{name}: {what}": json.dumps([GOOD | {name: value}])
        for name, values in REPLACED.items()
        for what, value in values.items()
    }
    | {
        f"{name} nested {depth} deep": json.dumps([GOOD | {name: {"a": "@"}}]).replace(
            '"@"', "[" * depth + "]" * depth
        )
        for name in ("data", "metadata")
        for depth in (100, 900, 2000, 6000)
    }
)


def test_a_malformed_call_is_refused_and_leaves_nothing(engine: Engine) -> None:
    """Whatever JSON comes, the error is one of ours, and nothing of the call is appended."""
    good_before = json.dumps(GOOD | {"event_id": str(UUID(int=99)), "entity_id": str(UUID(int=8))})
    for what, call in CALLS.items():
        with_a_good_one = f"[{good_before},{call[1:]}" if call.startswith("[{") else call
        for events in (call, with_a_good_one):
            with engine.connect() as connection:
                assert refused(connection, events), what
                connection.rollback()
                assert positions_in_log(connection) == [], what
                assert heads_disagreeing_with_the_log(connection) == [], what


_numbers = st.sampled_from(
    ["0", "-0", "1e400", "-1E+5000", "1e-400", "9" * 30, "9" * 6000, "0.1234567890123456789012345"]
)
_keys = texts | st.sampled_from(["__proto__", "a.b", "$.a", "'; DROP TABLE event_logs; --", "%s"])


def _objects(values: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.dictionaries(_keys, values, max_size=4).map(
        lambda items: "{" + ",".join(f"{json.dumps(k)}:{v}" for k, v in items.items()) + "}"
    )


_documents = st.recursive(
    st.none().map(json.dumps)
    | st.booleans().map(json.dumps)
    | st.integers().map(json.dumps)
    | st.floats(allow_nan=False, allow_infinity=False).map(json.dumps)
    | _keys.map(json.dumps)
    | _numbers,
    lambda inner: (
        st.lists(inner, max_size=4).map(lambda items: f"[{','.join(items)}]") | _objects(inner)
    ),
    max_leaves=20,
)


@IN_A_DATABASE
@given(data=_objects(_documents), metadata=_objects(_documents), entity_type=_keys, kind=_keys)
def test_whatever_object_is_appended_in_sql_reads_back_equal(
    engine: Engine, data: str, metadata: str, entity_type: str, kind: str
) -> None:
    """Numbers of any size, SQL in strings, keys of any kind: what is not refused can be read."""
    event_id, entity = uuid4(), uuid4()
    call = json.dumps(
        [
            GOOD
            | {"event_id": str(event_id), "entity_id": str(entity), "entity_type": entity_type}
            | {"event_type": kind, "data": "@data", "metadata": "@metadata"}
        ]
    )
    call = call.replace('"@data"', data).replace('"@metadata"', metadata)
    with engine.connect() as connection:
        (position,) = raw_append(connection, call)
        connection.commit()
        (read,) = read_all(connection, after=position - 1)
    assert (read.event_id, read.entity_type, read.event_type) == (event_id, entity_type, kind)
    assert as_numbers(read.data) == as_numbers(parsed(data))
    assert as_numbers(read.metadata) == as_numbers(parsed(metadata))


_scalars = st.none() | st.booleans() | st.integers() | st.floats() | texts | st.uuids().map(str)
_junk = _scalars | st.lists(_scalars, max_size=2) | st.dictionaries(texts, _scalars, max_size=2)


@settings(IN_A_DATABASE, max_examples=80)
@given(
    events=st.lists(
        st.dictionaries(
            st.sampled_from(
                [*GOOD, "user_id", "metadata", "schema_version", "occurred_at", "expected_version"]
            ),
            _junk,
            max_size=2,
        ).map(lambda wrong: GOOD | wrong)
        | _junk,
        max_size=4,
    )
)
def test_any_call_is_all_refused_or_all_appended(engine: Engine, events: list[Any]) -> None:
    """A log that reads from end to end, with heads that agree: never half an append."""
    with engine.connect() as connection:
        before = positions_in_log(connection)
        try:
            positions = raw_append(connection, json.dumps(events))
        except QuantumForgeError:
            connection.rollback()
            assert positions_in_log(connection) == before
            return
        assert len(positions) == len(events)
        connection.commit()
        assert set(positions_in_log(connection)) == {*before, *positions}
        assert [event.position for event in read_all(connection)] == positions_in_log(connection)
        assert heads_disagreeing_with_the_log(connection) == []


def test_a_payload_of_megabytes_reads_back_equal(connection: Connection) -> None:
    """A long log file of a program, or ten thousand atoms, is an event like any other."""
    printed = "".join(chr(32 + (n * n) % 5000) for n in range(2_000_000))
    atoms = [
        Atom("C", 6, n / 7, n / 11, n / 13, n / 17, n / 19, n / 23, n / 29) for n in range(9999)
    ]
    event = new(changed(stdout_log=printed, atoms=atoms))
    append(connection, [event])
    (read,) = read_stream(connection, event.stream)
    assert read.event == event.event


@pytest.mark.parametrize("name", ["entity_type", "event_type"])
def test_a_name_longer_than_an_index_entry_is_refused(connection: Connection, name: str) -> None:
    """PostgreSQL's limits are told as ours."""
    endless = "".join(chr(33 + (n * n * 7919 + n // 7) % 9000) for n in range(20_000))
    with pytest.raises(EventRefused):
        raw_append(connection, json.dumps([GOOD | {name: endless}]))


def test_sql_in_any_string_is_only_a_string(connection: Connection) -> None:
    """Nothing of an event is ever part of a statement."""
    evil = "'; DROP TABLE event_logs; -- $$ \\ %s :events"
    event = new(MoleculeDeleted(reason=evil), metadata={evil: evil})
    append(connection, [event])
    (read,) = read_stream(connection, event.stream)
    assert (read.event, read.metadata) == (event.event, {evil: evil})


def test_an_append_under_a_stricter_isolation_level_fails_as_ours(engine: Engine) -> None:
    """Where the stream has moved since the snapshot, the error says which level to use."""
    entity = uuid4()
    with engine.connect().execution_options(isolation_level="REPEATABLE READ") as connection:
        connection.execute(text("SELECT 1 FROM event_logs"))
        append_and_commit(engine, small_event(entity))
        with pytest.raises(UnsafeIsolation):
            append(connection, [small_event(entity)])
        connection.rollback()


def refused(connection: Connection, events: str) -> bool:
    """Whether a call of append_events ends with an error of ours."""
    try:
        raw_append(connection, events)
    except EventRefused:
        return True
    return False


def new(event: Event, **envelope: Any) -> NewEvent:
    """An event of a new entity."""
    return NewEvent(tenant_id=TENANT, entity_id=uuid4(), event=event, **envelope)


def raw_append(connection: Connection, events: str) -> list[int]:
    """Call append_events as psql would; return the positions."""
    statement = text("SELECT position FROM append_events(CAST(:events AS jsonb))")
    with translated_errors():
        return list(connection.scalars(statement, {"events": events}))


def parsed(document: str) -> Any:
    """What a JSON document says, its last of repeated keys."""
    return json.loads(document, parse_int=Decimal, parse_float=Decimal)


def as_numbers(value: Any) -> Any:
    """A JSON value with every number as a float, or as an integer where floats end."""
    if isinstance(value, dict):
        return {key: as_numbers(item) for key, item in value.items()}
    if isinstance(value, list):
        return [as_numbers(item) for item in value]
    if value is None or isinstance(value, bool | str):
        return value
    return float(value) if abs(value) < 10**300 else int(value)


def test_tuples_in_an_object_are_arrays() -> None:
    """JSON has one kind of list; what msgspec makes of a Struct has tuples."""
    parameters: dict[str, object] = {"types": ("a", ("b", {"c": (1, 2)})), "none": ()}
    event = DataExported(
        what="event_logs", format="jsonl", row_count=0, position=1, parameters=parameters
    )

    read = decode(DataExported.event_type, encode(event))

    assert isinstance(read, DataExported)
    assert read.parameters == {"types": ["a", ["b", {"c": [1, 2]}]], "none": []}
