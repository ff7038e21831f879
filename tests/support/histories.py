"""Random histories for any projection: events of its types, on few entities, so that they meet."""

import types
import typing
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from enum import Enum
from functools import cache
from typing import Any
from uuid import UUID

import msgspec
from hypothesis import strategies as st

from quantum_forge.eventstore.base.envelope import NewEvent
from quantum_forge.projections.registry import PROJECTIONS
from quantum_forge.schema.domains import EVENTS
from quantum_forge.schema.domains.molecules import (
    MoleculeCreated,
    MoleculeDeleted,
    MoleculeUpdated,
    molecule_id,
)
from quantum_forge.schema.language.event import Event
from quantum_forge.schema.language.projection import Projection

TENANTS = [UUID(int=n, version=4) for n in (1, 2)]
ENTITIES = [UUID(int=n, version=4) for n in (11, 12)]
RETAINED = [each.name for each in PROJECTIONS.values() if each.retained] + ["toy", "no table"]
SMILES = ["C", "CC", "CCO"]
EPOCH = datetime(2026, 1, 1, tzinfo=UTC)

_characters = st.characters(blacklist_categories=["Cs"], blacklist_characters="\0")
_texts = st.text(_characters, min_size=1, max_size=8)
_json = st.integers(-9, 9) | st.none() | _texts
_floats = st.floats(allow_nan=False, allow_infinity=False, min_value=-1e200, max_value=1e200)
_times = st.integers(0, 10**9).map(lambda n: EPOCH + timedelta(milliseconds=n))
_moments = _times | st.integers(0, 7_200).map(lambda n: EPOCH + timedelta(seconds=n))
"""Also such that share an hour with others."""
_metadata = st.fixed_dictionaries(
    {},
    optional={
        "host": st.none() | st.integers(0, 1) | st.sampled_from(["a", "b"]),
        "ip_address": st.sampled_from(["192.0.2.7", "2001:db8::7"]),
        "user_agent": st.none() | st.just("Firefox"),
    },
)


def histories(
    projections: Sequence[Projection], *, max_size: int = 30
) -> st.SearchStrategy[list[NewEvent]]:
    """Lists of events that concern these projections, in no sensible order."""
    names = sorted({name for projection in projections for name in projection.reads})
    return st.lists(st.sampled_from(names).flatmap(_new_events), max_size=max_size)


def cuts(length: int) -> st.SearchStrategy[list[int]]:
    """Places at which to cut a sequence of this length into batches, in ascending order."""
    return st.lists(st.integers(0, length), max_size=5).map(sorted)


@st.composite
def _new_events(draw: st.DrawFn, event_type: str) -> NewEvent:
    cls = EVENTS[event_type]
    tenant = draw(st.sampled_from(TENANTS))
    event = draw(_payloads(cls, tenant))
    entity = draw(st.sampled_from(ENTITIES))
    if isinstance(event, MoleculeCreated):
        entity = molecule_id(tenant, event.structure, event.charge, event.multiplicity)
    elif isinstance(event, MoleculeUpdated | MoleculeDeleted):
        entity = draw(_molecules(tenant))
    return NewEvent(
        tenant_id=tenant,
        entity_id=entity,
        event=event,
        user_id=draw(st.none() | st.sampled_from(ENTITIES)),
        occurred_at=draw(_moments),
        metadata=draw(_metadata),
    )


def _molecules(tenant: UUID) -> st.SearchStrategy[UUID]:
    return st.sampled_from([molecule_id(tenant, smiles, 0, 1) for smiles in SMILES])


@cache
def _payloads(cls: type[Event], tenant: UUID) -> st.SearchStrategy[Event]:
    hints = typing.get_type_hints(cls, include_extras=True)
    fields: dict[str, st.SearchStrategy[Any]] = {}
    for name in cls.__struct_fields__:
        match name:
            case "table":
                fields[name] = st.sampled_from(RETAINED)
            case "smiles":
                fields[name] = st.sampled_from(SMILES)
            case "identity_key":
                fields[name] = st.just(msgspec.UNSET) | _texts
            case "charge":
                fields[name] = st.just(0)
            case "multiplicity":
                fields[name] = st.just(1)
            case "molecule_id" if hints[name] == UUID:
                fields[name] = _molecules(tenant)
            case "molecule_id":
                fields[name] = st.none() | _molecules(tenant)
            case "error_id":
                fields[name] = st.integers(1, 10)
            case _:
                fields[name] = _values(hints[name])
    return st.fixed_dictionaries(fields).map(lambda given: cls(**consistent(given)))


def consistent(given: dict[str, Any]) -> dict[str, Any]:
    """The fields of an event, with a SMILES or an identity key where both or neither were drawn."""
    if "identity_key" not in given:
        return given
    key = given["identity_key"]
    return {**given, "smiles": None if key is not msgspec.UNSET else given["smiles"] or "C"}


def _values(hint: Any) -> st.SearchStrategy[Any]:
    """Values that a type annotation lets through; ids from a small pool."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Annotated:
        return _bounded(arguments[0], arguments[1])
    if origin in (typing.Union, types.UnionType):
        return st.one_of(*map(_values, arguments))
    if origin is list:
        return st.lists(_values(arguments[0]), min_size=1, max_size=3)
    if origin is dict:
        free = arguments[1] in (object, typing.Any)
        return st.dictionaries(_texts, _json if free else _values(arguments[1]), max_size=2)
    if hint is typing.Any:
        return _json
    if hint is type(None):
        return st.none()
    if hint is msgspec.UnsetType:
        return st.just(msgspec.UNSET)
    if hint is UUID:
        return st.sampled_from(ENTITIES)
    if hint is datetime:
        return _times
    if isinstance(hint, type) and issubclass(hint, Enum):
        return st.sampled_from(hint)
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        return st.builds(
            hint,
            **{
                name: _values(typing.get_type_hints(hint, include_extras=True)[name])
                for name in hint.__struct_fields__
            },
        )
    simple: dict[Any, st.SearchStrategy[Any]] = {
        bool: st.booleans(),
        int: st.integers(-(2**31), 2**31 - 1),
        float: _floats,
        str: _texts,
    }
    return simple[hint]


def _bounded(hint: Any, meta: msgspec.Meta) -> st.SearchStrategy[Any]:
    if hint is int:
        return st.integers(int(meta.ge or 0), int(meta.le or 1000))
    if hint is float:
        low = meta.gt if meta.gt is not None else meta.ge
        high = 1e9 if meta.le is None else meta.le
        return st.floats(low, high, exclude_min=meta.gt is not None, allow_subnormal=False)
    if hint is str and meta.pattern is not None:
        # In full, and with nothing after its end: "$" would let a line feed follow.
        return st.from_regex(meta.pattern, fullmatch=True, alphabet=_characters).filter(
            lambda text: len(text) <= (meta.max_length or len(text))
        )
    if hint is str:
        return st.text(_characters, min_size=meta.min_length or 1, max_size=meta.max_length or 8)
    return _values(hint)
