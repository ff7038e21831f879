"""The grammar, by Hypothesis: any text is parsed or refused, and none of it becomes SQL."""

from collections.abc import Sequence
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy.dialects import postgresql

from quantum_forge.web.rest.errors import RestError
from quantum_forge.web.rest.request.grammar import parse
from quantum_forge.web.rest.request.media import Form, parse_accept
from quantum_forge.web.rest.request.preferences import (
    Count,
    Handling,
    Preferences,
    Return,
    applied,
    parse_preferences,
)
from quantum_forge.web.rest.request.query import (
    Aggregate,
    Column,
    Condition,
    Embed,
    Field,
    Item,
    Join,
    JsonStep,
    Level,
    Order,
    Quantifier,
    Query,
    Star,
    Tree,
)
from quantum_forge.web.rest.statements.branches import branches
from quantum_forge.web.rest.statements.compiler import Compiler
from quantum_forge.web.rest.statements.tables import readable

# Names that need quotes in some places, but are none of the words of the grammar.
NAMES = st.sampled_from(["id", "a b", "x-y", "ñ", "$1", 'q"uote', "dot.ted", "back\\slash", "(p)"])
KEYS = st.one_of(NAMES, st.integers(-99, 99))
STEPS = st.lists(st.builds(JsonStep, key=KEYS, as_text=st.booleans()), max_size=2).map(tuple)
FIELDS = st.builds(Field, name=NAMES, steps=STEPS)
VALUES = st.text(st.sampled_from("ab1,.()\"{}\\:*% é'"), max_size=6)
TYPES = st.one_of(st.none(), st.sampled_from(["int", "text"]))

COMPARISONS = st.one_of(
    st.builds(
        Condition,
        field=FIELDS,
        operator=st.sampled_from(["eq", "gte", "like", "imatch"]),
        value=VALUES,
        negated=st.booleans(),
        quantifier=st.one_of(st.none(), st.sampled_from(Quantifier)),
    ),
    st.builds(
        Condition,
        field=FIELDS,
        operator=st.sampled_from(["neq", "cs", "adj", "isdistinct"]),
        value=VALUES,
        negated=st.booleans(),
    ),
    st.builds(
        Condition,
        field=FIELDS,
        operator=st.sampled_from(["fts", "wfts"]),
        value=VALUES,
        language=st.one_of(st.none(), st.just("english")),
    ),
    st.builds(
        Condition,
        field=FIELDS,
        operator=st.just("is"),
        value=st.sampled_from(["null", "not_null", "unknown"]),
        negated=st.booleans(),
    ),
    st.builds(
        Condition,
        field=FIELDS,
        operator=st.just("in"),
        value=st.lists(VALUES, max_size=3).map(tuple),
        negated=st.booleans(),
    ),
)
TREES = st.builds(
    Tree,
    disjoint=st.booleans(),
    negated=st.booleans(),
    parts=st.recursive(
        st.lists(COMPARISONS, min_size=1, max_size=3).map(tuple),
        lambda parts: st.lists(
            st.builds(Tree, disjoint=st.booleans(), negated=st.booleans(), parts=parts),
            min_size=1,
            max_size=2,
        ).map(tuple),
        max_leaves=3,
    ),
)
VALUED = st.builds(
    Column,
    field=FIELDS,
    alias=st.one_of(st.none(), NAMES),
    cast=TYPES,
    aggregate=st.one_of(st.none(), st.sampled_from(Aggregate)),
)
ITEMS: st.SearchStrategy[tuple[Item, ...]] = st.recursive(
    st.lists(st.one_of(st.just(Star()), VALUED), max_size=3).map(tuple),
    lambda items: st.lists(
        st.builds(
            Embed,
            relation=NAMES,
            items=items,
            alias=st.one_of(st.none(), NAMES),
            hint=st.one_of(st.none(), NAMES),
            join=st.one_of(st.none(), st.sampled_from(Join)),
            spread=st.booleans(),
        ),
        max_size=2,
    ).map(tuple),
    max_leaves=4,
)
ORDERS = st.builds(
    Order,
    field=FIELDS,
    relation=st.one_of(st.none(), NAMES),
    descending=st.booleans(),
    nulls_first=st.one_of(st.none(), st.booleans()),
)
LEVELS = st.builds(
    Level,
    filters=st.lists(st.one_of(COMPARISONS, TREES), max_size=3).map(tuple),
    order=st.lists(ORDERS, max_size=2).map(tuple),
    limit=st.one_of(st.none(), st.integers(0, 2**62)),
    offset=st.integers(0, 2**62),
)
PATHS = st.lists(NAMES, max_size=2).map(tuple)


def printed(query: Query) -> list[tuple[str, str]]:
    """Write a query as clients do."""
    pairs = [("select", _items(query.select))]
    for path, level in query.levels.items():
        prefix = "".join(f"{_quoted(name)}." for name in path)
        for filter_ in level.filters:
            if isinstance(filter_, Tree):
                negation = "not." if filter_.negated else ""
                key = f"{prefix}{negation}{'or' if filter_.disjoint else 'and'}"
                pairs.append((key, _parts(filter_)))
            else:
                pairs.append((f"{prefix}{_field(filter_.field)}", _comparison(filter_)))
        pairs.append((f"{prefix}order", ",".join(map(_term, level.order))))
        pairs.append((f"{prefix}offset", str(level.offset)))
        if level.limit is not None:
            pairs.append((f"{prefix}limit", str(level.limit)))
    return pairs


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _field(field: Field) -> str:
    steps = (
        f"{'->>' if step.as_text else '->'}"
        f"{step.key if isinstance(step.key, int) else _quoted(step.key)}"
        for step in field.steps
    )
    return _quoted(field.name) + "".join(steps)


def _comparison(condition: Condition, *, nested: bool = False) -> str:
    value = condition.value
    if isinstance(value, tuple):
        written = f"({','.join(map(_quoted, value))})"
    else:
        written = _quoted(value) if nested and condition.operator != "is" else value
    with_ = condition.quantifier or (condition.language and _quoted(condition.language))
    return (
        f"{'not.' if condition.negated else ''}{condition.operator}"
        f"{f'({with_})' if with_ else ''}.{written}"
    )


def _parts(tree: Tree) -> str:
    return f"({', '.join(map(_part, tree.parts))})"


def _part(part: Condition | Tree) -> str:
    if isinstance(part, Condition):
        return f"{_field(part.field)}.{_comparison(part, nested=True)}"
    return f"{'not.' if part.negated else ''}{'or' if part.disjoint else 'and'}{_parts(part)}"


def _items(items: Sequence[Item]) -> str:
    return ",".join(map(_item, items))


def _item(item: Item) -> str:
    if isinstance(item, Star):
        return "*"
    alias = "" if item.alias is None else f"{_quoted(item.alias)}:"
    if isinstance(item, Embed):
        options = [_quoted(item.hint)] if item.hint is not None else []
        options += [item.join] if item.join is not None else []
        how = "".join(f"!{option}" for option in options)
        dots = "..." if item.spread else ""
        return f"{dots}{alias}{_quoted(item.relation)}{how}({_items(item.items)})"
    assert item.field is not None
    cast = "" if item.cast is None else f"::{item.cast}"
    aggregate = "" if item.aggregate is None else f".{item.aggregate}()"
    return f"{alias}{_field(item.field)}{cast}{aggregate}"


def _term(term: Order) -> str:
    field = _field(term.field)
    named = field if term.relation is None else f"{_quoted(term.relation)}({_field(term.field)})"
    nulls = {None: "", True: ".nullsfirst", False: ".nullslast"}[term.nulls_first]
    return f"{named}{'.desc' if term.descending else ''}{nulls}"


@settings(deadline=None)
@given(
    select=ITEMS,
    levels=st.dictionaries(PATHS, LEVELS, max_size=2),
)
def test_a_query_that_is_written_is_read_back(
    select: tuple[Item, ...], levels: dict[tuple[str, ...], Level]
) -> None:
    """Whatever names and values hold, quotes and backslashes keep them apart from the grammar."""
    query = Query(select=select, levels=levels)
    assert parse(printed(query)) == query


WORDS = (
    'select id or not. and ( ) , . eq. in. is.null { } -> ->> :: : ! * ... " \\ limit count()'
    " .avg() calculations -1 ٣ order as_of nullsfirst"
)
FRAGMENTS = st.sampled_from([*WORDS.split(), " ", "9" * 5_000, "\0", "\ud800"])
TEXTS = st.one_of(st.text(), st.lists(FRAGMENTS, max_size=12).map("".join))


@settings(deadline=None)
@given(pairs=st.lists(st.tuples(TEXTS, TEXTS), max_size=4), header=TEXTS)
def test_any_text_is_parsed_or_refused(pairs: list[tuple[str, str]], header: str) -> None:
    """Nothing that somebody sends is an error of ours."""
    for read in (
        lambda: parse(pairs),
        lambda: parse([("select", header), ("or", header), ("order", header)]),
        lambda: parse_preferences([header, "handling=strict"]),
        lambda: parse_accept(header, plans=True),
    ):
        with suppress(RestError):
            read()


@pytest.mark.parametrize("key", ["select", "or"])
def test_parentheses_without_end_are_refused(key: str) -> None:
    """Depth is bounded, so that no request exhausts the stack."""
    text = "a(" * 10_000 if key == "select" else f"({'and(' * 10_000}"
    with pytest.raises(RestError) as refused:
        parse([(key, text)])
    assert "30 levels" in str(refused.value.details)


MARK = "sxyzzyq"
"""Occurs in no name and in no keyword."""

MARKED = st.one_of(
    st.just(MARK), st.sampled_from([f"{MARK}'; DROP TABLE molecules --", f'{MARK}") OR 1=1'])
)


@settings(deadline=None, max_examples=20)
@given(
    alias=MARKED,
    key=MARKED,
    value=MARKED,
    language=MARKED,
    operator=st.sampled_from(["eq", "like", "in", "cs", "wfts", "isdistinct", "match"]),
)
def test_no_text_of_a_request_is_in_the_sql(
    alias: str, key: str, value: str, language: str, operator: str
) -> None:
    """Names are looked up, and everything else is a parameter."""
    field = Field("metadata", (JsonStep(key, True),))
    compared = Condition(
        field=field,
        operator=operator,
        value=(value, value) if operator == "in" else value,
        language=language if operator == "wfts" else None,
    )
    select = (
        Column(field=field, alias=alias, cast="text"),
        Embed(
            relation="calculations",
            alias=alias,
            items=(Star(), Column(field=field, alias=alias)),
            join=Join.INNER,
        ),
    )
    level = Level(
        filters=(compared, Tree(disjoint=True, parts=(compared,))), order=(Order(field=field),)
    )
    query = parse(printed(Query(select=select, levels={(): level, (alias,): level})))
    root = branches(readable("molecules"), query)
    statements = Compiler().compile(root, limit=3, offset=1)
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]  # SQLAlchemy leaves it untyped

    for statement in (statements.documents, statements.columns, statements.matched):
        compiled = statement.compile(dialect=dialect)
        assert MARK not in str(compiled)
        assert "DROP" not in str(compiled)
    assert alias in statements.documents.compile(dialect=dialect).params.values()


def test_preferences_come_in_several_headers_and_the_first_of_a_kind_counts() -> None:
    """As RFC 7240 and PostgREST have it; max-affected counts for strict requests only."""
    lenient = parse_preferences(["count=exact,count=planned", "return=minimal, x, max-affected=3"])
    strict = parse_preferences(["handling=strict", 'max-affected=3,timezone="Asia/Tokyo"'])

    assert lenient == Preferences(count=Count.EXACT, return_=Return.MINIMAL)
    assert strict == Preferences(handling=Handling.STRICT, max_affected=3, timezone="Asia/Tokyo")
    assert applied(strict, ["timezone", "max_affected", "handling", "count"]) == (
        "handling=strict, timezone=Asia/Tokyo, max-affected=3"
    )
    assert applied(lenient, ["timezone"]) is None


@pytest.mark.parametrize(
    ("header", "form"),
    [
        (None, Form.ARRAY),
        ("*/*", Form.ARRAY),
        ("text/csv;q=0.4, application/json;q=0.3", Form.CSV),
        ("text/csv;q=0, */*", Form.ARRAY),
        ("image/png, application/vnd.pgrst.object+json", Form.OBJECT),
        ("application/vnd.pgrst.array", Form.ARRAY),
        ("application/jsonl", Form.LINES),
        ('application/vnd.pgrst.plan+json; for="application/json"; options=analyze;', Form.PLAN),
    ],
)
def test_the_form_that_is_wanted_most_and_available_is_chosen(
    header: str | None, form: Form
) -> None:
    """Weights count, then the order; a parameter without a value is no error."""
    assert parse_accept(header, plans=True).form is form
