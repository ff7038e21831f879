"""Random payloads of any event type, within what the type allows."""

import types
import typing
from datetime import UTC, datetime
from enum import Enum
from typing import Any
from uuid import UUID

import msgspec
from hypothesis import strategies as st

from quantum_forge.schema.domains import EVENTS
from quantum_forge.schema.language.event import Event
from tests.support.histories import consistent

_characters = st.characters(exclude_categories=["Cs"], exclude_characters="\0")
texts = st.text(_characters, max_size=12)
_times = st.datetimes(
    min_value=datetime(1, 1, 2),  # noqa: DTZ001  # the zone is given apart
    max_value=datetime(9999, 12, 30),  # noqa: DTZ001
    timezones=st.just(UTC),
)
_json = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)


def any_event() -> st.SearchStrategy[Event]:
    """Events of every registered type."""
    return st.sampled_from(sorted(EVENTS)).flatmap(lambda name: events_of(EVENTS[name]))


def events_of(cls: type[Event]) -> st.SearchStrategy[Event]:
    """Events of one type, every field with any value that its annotation lets through."""
    hints = typing.get_type_hints(cls, include_extras=True)
    fields = {name: _values(hints[name]) for name in cls.__struct_fields__}
    return st.fixed_dictionaries(fields).map(lambda given: cls(**consistent(given)))


def texts_within(meta: msgspec.Meta, otherwise: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Texts of the form and length that an annotation asks for; any of `otherwise`, if of none."""
    form = otherwise
    if meta.pattern is not None:
        form = st.from_regex(meta.pattern, alphabet=_characters)
    return form.filter(lambda text: (meta.min_length or 0) <= len(text) <= (meta.max_length or 999))


def _values(hint: Any) -> st.SearchStrategy[Any]:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Annotated:
        return _annotated(arguments[0], arguments[1])
    if origin in (typing.Union, types.UnionType):
        return st.one_of(*map(_values, arguments))
    if origin is list:
        return st.lists(_values(arguments[0]), max_size=3)
    if origin is dict:
        return st.dictionaries(texts, _values(arguments[1]), max_size=3)
    if hint is msgspec.UnsetType:
        return st.just(msgspec.UNSET)
    if isinstance(hint, type) and issubclass(hint, Enum):
        return st.sampled_from(hint)
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        parts = typing.get_type_hints(hint, include_extras=True)
        return st.builds(hint, **{name: _values(parts[name]) for name in hint.__struct_fields__})
    simple: dict[Any, st.SearchStrategy[Any]] = {
        type(None): st.none(),
        bool: st.booleans(),
        int: st.integers(-(2**63), 2**63 - 1),
        float: st.floats(allow_nan=False, allow_infinity=False),
        str: texts,
        object: _json,
        Any: _json,
        UUID: st.uuids(),
        datetime: _times,
    }
    return simple[hint]


def _annotated(hint: Any, meta: msgspec.Meta) -> st.SearchStrategy[Any]:
    if hint is int:
        return st.integers(int(meta.ge or 0), int(meta.le or 2**63 - 1))
    if hint is float:
        low = meta.gt if meta.gt is not None else meta.ge
        return st.floats(
            low,
            meta.le,
            exclude_min=meta.gt is not None,
            allow_nan=False,
            allow_infinity=False,
        )
    if hint is str and meta.pattern is not None:
        pattern = meta.pattern.rstrip("$") + r"\Z"
        return st.from_regex(pattern, fullmatch=True, alphabet=_characters)
    if hint is str:
        return texts_within(meta, texts)
    if typing.get_origin(hint) is list:
        (item,) = typing.get_args(hint)
        return st.lists(_values(item), min_size=meta.min_length or 0, max_size=3)
    return _values(hint)
