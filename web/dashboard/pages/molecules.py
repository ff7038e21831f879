"""Molecules: by text, substructure or similarity, with their drawings; and one with its results."""

from functools import partial
from typing import Any, Literal
from uuid import UUID

import msgspec
from sqlalchemy import ColumnElement, exists, func, literal_column, select, tuple_

from quantum_forge.projections.queries.search import molecules_found
from quantum_forge.schema.domains.calculations import calculations
from quantum_forge.schema.domains.discovery import projects
from quantum_forge.schema.domains.molecules import molecule_properties_computed, molecules
from quantum_forge.searching import canonical, structures
from quantum_forge.web.dashboard.pages.calculations import Histogram, histogram, in_ranges
from quantum_forge.web.dashboard.panels import Asked, Page, Panel, address_of
from quantum_forge.web.rest.errors import RestError

PATH = "/molecules"
ROWS = 50
"""Of a page."""

MOST_FOUND = 1_000
"""Molecules that a search by structure finds at most, before the other conditions."""

_LIVE = ("molecule_created", "molecule_updated", "molecule_deleted")


class MoleculesQuery(msgspec.Struct, frozen=True):
    """Conditions on molecules.

    q: what is searched for, as text (words of a name, SMILES, InChIKey, formula, id), as SMARTS
    or as a SMILES with `threshold`. gap in eV, energy in Eh: of a completed calculation.
    """

    q: str | None = None
    how: Literal["text", "substructure", "similarity"] = "text"
    threshold: float = 0.5
    generation_method: str | None = None
    project_id: UUID | None = None
    gap_from: float | None = None
    gap_to: float | None = None
    energy_from: float | None = None
    energy_to: float | None = None
    by: Literal["gap", "energy"] = "gap"
    page: int = 1


class MoleculesListed(msgspec.Struct, frozen=True):
    """Rows of a page. similarity: by id. is_complete: whether the search by structure was."""

    query: MoleculesQuery
    rows: list[Any]
    has_more: bool
    similarity: dict[UUID, float | None]
    is_complete: bool

    @property
    def export(self) -> dict[str, Any]:
        """The filters of the REST dialect for the rows of this page."""
        ids = ",".join(str(row.id) for row in self.rows)
        return {"id": f"in.({ids})", "order": "created_at.desc,id.desc"}

    def link(self, **changes: Any) -> str:
        """Return the address of the page with some parameters changed."""
        return link(self.query, **changes)


def link(query: MoleculesQuery, **changes: Any) -> str:
    """Return the address of the page with some parameters changed; the first page unless given."""
    return address_of(PATH, query, **{"page": None, **changes})


class _Found(msgspec.Struct, frozen=True):
    """What a search by structure has found; None: it was none."""

    similarity: dict[UUID, float | None] | None
    is_complete: bool = True


def _by_structure(asked: Asked) -> _Found:
    query: MoleculesQuery = asked.query
    if query.q is None or query.how == "text":
        return _Found(None)
    given: dict[str, Any] = {"limit": MOST_FOUND, "seconds": asked.server.web.max_seconds}
    tenant_id = asked.tenant_id
    if query.how == "substructure":
        found = structures().substructure(asked.connection, tenant_id, query.q, **given)
    else:
        given["threshold"] = query.threshold
        found = structures().similar(asked.connection, tenant_id, query.q, **given)
    return _Found({hit.id: hit.similarity for hit in found.hits}, found.is_complete)


def _conditions(asked: Asked, found: _Found) -> list[ColumnElement[bool]]:
    query: MoleculesQuery = asked.query
    m, tenant_id = molecules.c, asked.tenant_id
    where: list[ColumnElement[bool]] = [m.tenant_id == tenant_id]
    if found.similarity is not None:
        where.append(m.id.in_(list(found.similarity)))
    elif query.q is not None:
        where.append(m.id.in_(molecules_found(tenant_id, query.q, canonical=canonical)))
    if query.generation_method is not None:
        where.append(m.generation_method == query.generation_method)
    if query.project_id is not None:
        where.append(m.project_id == query.project_id)
    if (ranges := in_ranges(query)) != []:
        c = calculations.c
        of_it = (c.tenant_id == tenant_id, c.molecule_id == m.id, c.status == "completed")
        where.append(exists().where(*of_it, *ranges))
    return where


def _rows(asked: Asked) -> MoleculesListed:
    query: MoleculesQuery = asked.query
    found = asked.once(_by_structure)
    m, p = molecules.c, molecule_properties_computed.c
    page = (
        select(molecules)
        .where(*_conditions(asked, found))
        .order_by(m.created_at.desc(), m.id.desc())
    )
    ranked = found.similarity is not None
    if not ranked:
        page = page.limit(ROWS + 1).offset((max(1, query.page) - 1) * ROWS)
    some = page.subquery()
    statement = (
        select(some, p.logp, p.qed)
        .join_from(
            some,
            molecule_properties_computed,
            (p.tenant_id == some.c.tenant_id) & (p.molecule_id == some.c.id),
            isouter=True,
        )
        .order_by(some.c.created_at.desc(), some.c.id.desc())
    )
    rows = list(asked.connection.execute(statement))
    if ranked:
        order = {id_: place for place, id_ in enumerate(found.similarity or {})}
        first = (max(1, query.page) - 1) * ROWS
        rows = sorted(rows, key=lambda row: order[row.id])[first : first + ROWS + 1]
    return MoleculesListed(
        query, rows[:ROWS], len(rows) > ROWS, found.similarity or {}, found.is_complete
    )


def _facets(asked: Asked) -> Any:
    """Count by origin and project, in one statement."""
    m = molecules.c
    sets = func.grouping_sets(tuple_(m.generation_method), tuple_(m.project_id, projects.c.name))
    query = (
        select(m.generation_method, m.project_id, projects.c.name, func.count().label("count"))
        .join_from(
            molecules,
            projects,
            (projects.c.tenant_id == m.tenant_id) & (projects.c.id == m.project_id),
            isouter=True,
        )
        .where(*_conditions(asked, asked.once(_by_structure)))
        .group_by(sets)
        .order_by(func.count().desc(), literal_column("1"), literal_column("3"))
    )
    rows = asked.connection.execute(query).all()
    return {
        "methods": [row for row in rows if row.generation_method is not None],
        "projects": [row for row in rows if row.project_id is not None],
        "link": link,
    }


def _histogram(asked: Asked) -> Any:
    query: MoleculesQuery = asked.query
    tenant_id = asked.tenant_id
    c = calculations.c
    where = [c.tenant_id == tenant_id, c.status == "completed", *in_ranges(query)]
    found = asked.once(_by_structure)
    if (query.q, query.generation_method, query.project_id) != (None, None, None):
        plain = msgspec.structs.replace(
            query, gap_from=None, gap_to=None, energy_from=None, energy_to=None
        )
        of_these = msgspec.structs.replace(asked, query=plain)
        where.append(c.molecule_id.in_(select(molecules.c.id).where(*_conditions(of_these, found))))
    shown: Histogram = histogram(asked, where, query.by)
    return {"histogram": shown, "link": link, "bar": partial(link, query), "query": query}


class MoleculeQuery(msgspec.Struct, frozen=True):
    """The parameters of the page of one molecule."""

    id: UUID


def _molecule(asked: Asked) -> Any:
    m, p = molecules.c, molecule_properties_computed.c
    statement = (
        select(molecules, *(p[name] for name in _PROPERTIES), projects.c.name.label("project"))
        .join_from(
            molecules,
            molecule_properties_computed,
            (p.tenant_id == m.tenant_id) & (p.molecule_id == m.id),
            isouter=True,
        )
        .join(
            projects,
            (projects.c.tenant_id == m.tenant_id) & (projects.c.id == m.project_id),
            isouter=True,
        )
        .where(m.tenant_id == asked.tenant_id, m.id == asked.query.id)
    )
    row = asked.connection.execute(statement).one_or_none()
    if row is None:
        raise RestError(404, "QF404", f"there is no molecule {asked.query.id}")
    return row


_PROPERTIES = {
    "logp": "logP",
    "hydrogen_bond_donors": "Hydrogen-bond donors",
    "hydrogen_bond_acceptors": "Hydrogen-bond acceptors",
    "rotatable_bonds": "Rotatable bonds",
    "topological_polar_surface_area": "Polar surface area / Å²",
    "molar_refractivity": "Molar refractivity / (cm³/mol)",
    "qed": "QED",
}


def _its_calculations(asked: Asked) -> Any:
    c = calculations.c
    statement = (
        select(calculations)
        .where(c.tenant_id == asked.tenant_id, c.molecule_id == asked.query.id)
        .order_by(c.started_at.desc().nulls_first(), c.id)
        .limit(200)
    )
    return asked.connection.execute(statement).all()


MOLECULES = Page(
    path=PATH,
    title="Molecules",
    query=MoleculesQuery,
    template="molecules/page.html",
    panels=(
        Panel(name="facets", title="Which", read=_facets, template="molecules/facets.html"),
        Panel(
            name="histogram",
            title="Distribution",
            read=_histogram,
            template="calculations/histogram.html",
        ),
        Panel(
            name="rows",
            title="Molecules",
            read=_rows,
            template="molecules/rows.html",
            live=_LIVE,
        ),
    ),
)

MOLECULE = Page(
    path="/molecules/{id}",
    title="Molecule",
    query=MoleculeQuery,
    in_navigation=False,
    panels=(
        Panel(name="molecule", title="Molecule", read=_molecule, template="molecule/facts.html"),
        Panel(
            name="calculations",
            title="Its calculations",
            read=_its_calculations,
            template="molecule/calculations.html",
            live=("calculation_completed", "calculation_failed", "calculation_started"),
        ),
    ),
)
