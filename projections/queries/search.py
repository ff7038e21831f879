"""One search over everything with a name, a description or a message: by words, ids, structures."""

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import (
    ColumnElement,
    CompoundSelect,
    Connection,
    Select,
    Table,
    Text,
    Uuid,
    cast,
    func,
    literal,
    literal_column,
    null,
    or_,
    select,
    union_all,
)
from sqlalchemy.dialects.postgresql import TSQUERY

from quantum_forge.eventstore.base.errors import WrongSearch
from quantum_forge.eventstore.base.suggestion import suggestion
from quantum_forge.eventstore.log.abbreviations import id_digits, id_range
from quantum_forge.projections.queries.lookup import (
    Canonical,
    as_it_is,
    hill,
    molecules_like,
    names_of,
)
from quantum_forge.schema.domains.apps import quantum_apps
from quantum_forge.schema.domains.audit import ACTIONS, DataExported, user_audit_log
from quantum_forge.schema.domains.batches import batch_item_names, batch_jobs
from quantum_forge.schema.domains.calculations import calculations
from quantum_forge.schema.domains.discovery import projects
from quantum_forge.schema.domains.marketplace import marketplace_listings
from quantum_forge.schema.domains.molecules import molecules
from quantum_forge.schema.domains.organizations import organizations
from quantum_forge.schema.domains.results import calculation_errors, calculation_execution_metrics
from quantum_forge.schema.domains.telemetry import errors
from quantum_forge.schema.language.words import (
    LONGEST_SEARCHED,
    configuration,
    searched_columns,
    where_words_are,
    words_of,
)

LONGEST_QUERY = 2_000
"""Characters that are searched for at most."""

MOST_WORDS = 20
"""Words that are searched for at most."""

MOST_FINDINGS = 1_000
"""Findings of one kind at most."""


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One row that was found.

    table: of read models. id: the value of its key. title: its name or message. detail: what else
    tells it from others; the words of a log are quoted with what stands around them. found_by:
    `identity` for a SMILES, InChIKey, formula or id, `words` for a text.
    """

    table: str
    id: str
    title: str | None
    detail: str | None
    created_at: datetime
    found_by: str


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """The findings of one kind, by identity first, then the newest; whether there are more."""

    kind: str
    findings: list[Finding]
    has_more: bool


class Findings(msgspec.Struct, frozen=True, kw_only=True):
    """The groups that have any finding; where none has, `hint` says what to try."""

    words: str
    groups: list[Group]
    hint: str | None = None


class _Source(msgspec.Struct, frozen=True, kw_only=True):
    """Where findings of a kind come from.

    key: of a row. title, detail: their expressions; of a quoted one, the words around the match.
    """

    kind: str
    table: Table
    key: ColumnElement[Any]
    title: ColumnElement[Any]
    detail: ColumnElement[Any]
    quoted: ColumnElement[Any] | None = None


_NONE: ColumnElement[Any] = cast(null(), Text)

_SOURCES = (
    _Source(
        kind="molecules",
        table=molecules,
        key=molecules.c.id,
        title=func.coalesce(molecules.c.name, molecules.c.smiles, molecules.c.formula),
        detail=func.coalesce(molecules.c.smiles, molecules.c.formula),
    ),
    _Source(
        kind="calculations",
        table=calculations,
        key=calculations.c.id,
        title=func.concat_ws(" ", calculations.c.method, calculations.c.solvation_model),
        detail=calculations.c.status,
    ),
    _Source(
        kind="batches",
        table=batch_jobs,
        key=batch_jobs.c.id,
        title=batch_jobs.c.name,
        detail=batch_jobs.c.status,
    ),
    _Source(
        kind="projects",
        table=projects,
        key=projects.c.id,
        title=projects.c.name,
        detail=func.coalesce(projects.c.description, projects.c.disease_target),
    ),
    _Source(
        kind="failures of calculations",
        table=calculation_errors,
        key=calculation_errors.c.id,
        title=calculation_errors.c.error_message,
        detail=calculation_errors.c.error_type,
    ),
    _Source(
        kind="logs of calculations",
        table=calculation_execution_metrics,
        key=calculation_execution_metrics.c.calculation_id,
        title=calculation_execution_metrics.c.xtb_version,
        detail=_NONE,
        quoted=calculation_execution_metrics.c.stderr_log,
    ),
    _Source(
        kind="errors of services",
        table=errors,
        key=errors.c.id,
        title=errors.c.message,
        detail=errors.c.service,
    ),
    _Source(
        kind="apps",
        table=quantum_apps,
        key=quantum_apps.c.id,
        title=quantum_apps.c.name,
        detail=quantum_apps.c.description,
    ),
    _Source(
        kind="listings",
        table=marketplace_listings,
        key=marketplace_listings.c.id,
        title=marketplace_listings.c.title,
        detail=marketplace_listings.c.description,
    ),
    _Source(
        kind="organizations",
        table=organizations,
        key=organizations.c.id,
        title=organizations.c.name,
        detail=_NONE,
    ),
)

READ = (
    *(str(source.table.name) for source in _SOURCES),
    str(batch_item_names.name),
    str(user_audit_log.name),
)
"""The read models that a search reads."""


def search(
    connection: Connection,
    tenant_id: UUID,
    words: str,
    *,
    limit: int = 10,
    canonical: Canonical = as_it_is,
    audited: bool = False,
) -> Findings:
    """Return what a text finds: every word must be in a name, description or message, or begin one.

    A SMILES, an InChIKey, a formula and an id, or at least four digits of it, find what they
    identify, too: molecules and their calculations, batches, projects and so on.

    Args:
        connection: for reading.
        tenant_id: whose.
        words: what is searched for, as a person writes it.
        limit: findings of each kind.
        canonical: returns a SMILES as it is stored, or None for what is not one.
        audited: whether data sets are searched for in the audit trail, which takes an admin.

    Raises:
        WrongSearch: for an empty text, one that is too long, or a limit that cannot be used.
    """
    text = " ".join(words.replace("\0", " ").split())
    if not any(map(str.isalnum, text)):
        raise WrongSearch("nothing to search for: give words, a SMILES, an InChIKey or an id")
    if len(text) > LONGEST_QUERY:
        raise WrongSearch(
            f"{len(text):,} characters are more than the limit of {LONGEST_QUERY:,}: give less"
        )
    if not 1 <= limit <= MOST_FINDINGS:
        raise WrongSearch(f"limit {limit} is not from 1 to {MOST_FINDINGS:,}")
    query = _query(text)
    digits = id_digits(text)
    identified = molecules_like(connection, tenant_id, text, canonical=canonical)
    same = [row["id"] for row in identified]
    groups = []
    for source in _SOURCES:
        among = {"molecules": molecules.c.id, "calculations": calculations.c.molecule_id}
        column = among.get(source.kind)
        known = None if column is None or not same else column.in_(same)
        selected = _select(source, tenant_id, query, digits, known, limit + 1)
        groups.append(_group(connection, source.kind, selected, limit))
    if audited:
        groups.append(
            _group(connection, "data sets", _select_exports(tenant_id, query, limit + 1), limit)
        )
    found = [group for group in groups if group.findings]
    hint = None if found else _hint(connection, tenant_id, text)
    return Findings(words=text, groups=found, hint=hint)


def _group(connection: Connection, kind: str, selected: Select[Any], limit: int) -> Group:
    findings: dict[str, Finding] = {}
    for row in connection.execute(selected).mappings():
        findings.setdefault(row["id"], Finding(**row))  # what is found by identity comes first
    first = list(findings.values())
    return Group(kind=kind, findings=first[:limit], has_more=len(first) > limit)


def _query(text: str) -> ColumnElement[Any]:
    """Every word as a phrase of its parts, the last of which may go on: `4-methyl` finds cresol."""
    terms = [term for term in text.split() if any(map(str.isalnum, term))][:MOST_WORDS]
    query: ColumnElement[Any] = literal_column("''::tsquery")
    for term in terms:
        phrase = func.phraseto_tsquery(configuration(), term, type_=TSQUERY())
        begun = cast(func.nullif(cast(phrase, Text), "").op("||")(":*"), TSQUERY)
        query = query.op("&&")(func.coalesce(begun, phrase))
    return query


def _select(
    source: _Source,
    tenant_id: UUID,
    query: ColumnElement[Any],
    digits: str | None,
    known: ColumnElement[bool] | None,
    limit: int,
) -> Select[Any]:
    """Select the rows of a source by identity and by words; each branch is served by an index."""
    table = source.table
    branches = []
    identity = [] if known is None else [known]
    if digits is not None and isinstance(source.key.type, Uuid):
        identity.append(source.key.between(*id_range(digits)))
    if identity:
        branches.append(_row(source, query, "identity").where(or_(*identity)))
    if table is molecules:
        named = select(batch_item_names.c.molecule_id).where(_has_words(batch_item_names, query))
        own = select(molecules.c.id).where(_has_words(molecules, query))
        of_words = molecules.c.id.in_(union_all(own, named))
        branches.append(_row(source, query, "words").where(of_words))
    elif searched_columns(table):
        branches.append(_row(source, query, "words").where(_has_words(table, query)))
    if not branches:
        branches.append(_row(source, query, "words").where(literal_column("false")))
    limited = [
        branch.where(table.c.tenant_id == tenant_id)
        .order_by(table.c.created_at.desc(), source.key)
        .limit(limit)
        .subquery()
        for branch in branches
    ]
    both = union_all(*(select(part) for part in limited)).subquery()
    return select(both).order_by(both.c.found_by, both.c.created_at.desc(), both.c.id)


def _row(source: _Source, query: ColumnElement[Any], found_by: str) -> Select[Any]:
    detail = source.detail
    if source.quoted is not None:
        beginning = func.left(source.quoted, LONGEST_SEARCHED)
        options = literal('MaxFragments=2, MaxWords=20, StartSel="", StopSel=""', Text())
        detail = func.ts_headline(configuration(), beginning, query, options)
    return select(
        literal(source.table.name, Text()).label("table"),
        cast(source.key, Text).label("id"),
        cast(source.title, Text).label("title"),
        cast(detail, Text).label("detail"),
        source.table.c.created_at,
        literal(found_by, Text()).label("found_by"),
    )


def _has_words(table: Table, query: ColumnElement[Any]) -> ColumnElement[bool]:
    return where_words_are(table, table, searched_columns(table), query)


def _select_exports(tenant_id: UUID, query: ColumnElement[Any], limit: int) -> Select[Any]:
    """Select the exports whose name has the words; there are few, and no index has them."""
    audit = user_audit_log.c
    what = audit.details["what"].astext
    return (
        select(
            literal(user_audit_log.name, Text()).label("table"),
            cast(audit.id, Text).label("id"),
            what.label("title"),
            audit.details["destination"].astext.label("detail"),
            audit.created_at,
            literal("words", Text()).label("found_by"),
        )
        .where(
            audit.tenant_id == tenant_id,
            audit.action == ACTIONS[DataExported],
            words_of(what).op("@@", is_comparison=True)(query),
        )
        .order_by(audit.created_at.desc(), audit.id)
        .limit(limit)
    )


def _hint(connection: Connection, tenant_id: UUID, text: str) -> str:
    names = [
        name
        for table in (molecules, batch_jobs, projects)
        for name in names_of(connection, table, tenant_id)
    ]
    otherwise = "give fewer words, or the beginning of one; `qforge molecules search` finds parts"
    return suggestion(text, names, otherwise=otherwise)


def molecules_found(
    tenant_id: UUID, text: str, *, canonical: Canonical = as_it_is
) -> CompoundSelect[Any]:
    """Select the ids of the molecules that a text means, for a list with further conditions.

    Those with its words in their name, or in what a batch calls them, and those that it identifies
    as SMILES, InChIKey, formula or beginning of an id.
    """
    text = " ".join(text.replace("\0", " ").split())
    m = molecules.c
    query = _query(text)
    smiles = {each for each in (text, canonical(text)) if each is not None}
    same = [m.smiles == each for each in sorted(smiles)]
    same.append(m.inchikey == text.upper())
    if (formula := hill(text)) is not None:
        same.append(m.formula == formula)
    if (digits := id_digits(text)) is not None:
        same.append(m.id.between(*id_range(digits)))
    identified = [select(m.id).where(m.tenant_id == tenant_id, each) for each in same]
    by_words = [
        select(m.id).where(m.tenant_id == tenant_id, _has_words(molecules, query)),
        select(batch_item_names.c.molecule_id).where(
            batch_item_names.c.tenant_id == tenant_id, _has_words(batch_item_names, query)
        ),
    ]
    return union_all(*identified, *by_words)
