"""The one search box: whatever has some words, or is identified by them."""

from typing import Any

import msgspec
from sqlalchemy import func, select

from quantum_forge.projections.queries.search import search
from quantum_forge.schema.domains.molecules import molecules
from quantum_forge.schema.domains.users import Role
from quantum_forge.searching import canonical
from quantum_forge.web.auth.callers import READ
from quantum_forge.web.dashboard.panels import Asked, Page, Panel


class SearchQuery(msgspec.Struct, frozen=True):
    """The parameters of the page. q: words, a SMILES, an InChIKey, a formula or an id."""

    q: str | None = None
    limit: int = 10


PLACES = {
    "molecules": "/molecules/{id}",
    "calculations": "/calculations/{id}",
    "calculation_execution_metrics": "/calculations/{id}",
    "batch_jobs": "/campaigns/{id}",
    "projects": "/molecules?project_id={id}",
    "user_audit_log": "/audit",
}
"""Pages on which findings are shown, by table."""


def _found(asked: Asked) -> Any:
    """Search; without words, count what there is to be found."""
    query: SearchQuery = asked.query
    tenant_id = asked.tenant_id
    if query.q is None:
        counted = select(func.count()).where(molecules.c.tenant_id == tenant_id)
        return {"count": asked.connection.execute(counted).scalar_one(), "found": None}
    found = search(
        asked.connection,
        tenant_id,
        query.q,
        limit=query.limit,
        canonical=canonical,
        audited=asked.caller.may(Role.ADMIN, READ),
    )
    return {"found": found, "places": PLACES}


SEARCH = Page(
    path="/search",
    title="Search",
    query=SearchQuery,
    in_navigation=False,
    panels=(Panel(name="found", title="Found", read=_found, template="search/found.html"),),
)
