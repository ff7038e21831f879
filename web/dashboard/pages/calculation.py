"""One calculation: values with units, geometry, log, errors, explanation and history."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import select

from quantum_forge.eventstore.log.read import safe_head
from quantum_forge.projections.history import lineage
from quantum_forge.projections.history.as_of import as_of
from quantum_forge.projections.project.checkpoint import read_checkpoints
from quantum_forge.projections.queries.calculations import name_of
from quantum_forge.projections.registry import PROJECTIONS
from quantum_forge.schema.domains.calculations import CalculationStarted, calculations
from quantum_forge.schema.domains.molecules import molecules
from quantum_forge.schema.domains.results import (
    atomic_properties,
    calculation_errors,
    calculation_execution_metrics,
)
from quantum_forge.schema.tables import event_logs
from quantum_forge.web.dashboard.pages.calculations import LIVE
from quantum_forge.web.dashboard.panels import Asked, Page, Panel
from quantum_forge.web.rest.errors import RestError

_SHOWN: Sequence[tuple[str, str, int | None]] = (
    ("status", "Status", None),
    ("attempt", "Attempt", 0),
    ("method", "Method", None),
    ("solvation_model", "Solvation", None),
    ("optimization_level", "Optimisation", None),
    ("charge", "Charge / e", 0),
    ("multiplicity", "Multiplicity 2S+1", 0),
    ("energy", "Energy / Eh", 8),
    ("homo", "HOMO / eV", 4),
    ("lumo", "LUMO / eV", 4),
    ("gap", "Gap / eV", 4),
    ("dipole", "Dipole moment / D", 4),
    ("max_force", "Largest force / (Eh/Bohr)", 6),
    ("execution_time_seconds", "Wall time / s", 3),
    ("program", "Program", None),
    ("program_version", "Version", None),
    ("convergence_status", "Convergence", None),
    ("geometry_source", "Structure from", None),
    ("geometry_warning", "Doubt about the structure", None),
    ("error_type", "Type of error", None),
    ("error_message", "Message", None),
)
"""Columns, what they are called with their unit, and decimals of numbers."""


class CalculationQuery(msgspec.Struct, frozen=True):
    """The parameters of the page. as_of: a position of the log, to see the row as it was."""

    id: UUID
    as_of: int | None = None


class Point(msgspec.Struct, frozen=True):
    """Coordinates of atoms for a drawing. charge in e, position in Å."""

    element: str
    x: float
    y: float
    z: float
    charge: float | None


def _facts(asked: Asked) -> Any:
    query: CalculationQuery = asked.query
    row = _row(asked, query.as_of)
    if row is None and query.as_of is None:
        # Recorded a moment ago, as by the editor: the table follows.
        row = _row(asked, safe_head(asked.connection))
        if row is None:
            raise RestError(404, "QF404", f"there is no calculation {query.id}")
    return {"row": row, "shown": _SHOWN}


def _row(asked: Asked, position: int | None) -> Any:
    """Read the row, or fold it from the log as of a position."""
    query: CalculationQuery = asked.query
    projection = PROJECTIONS["calculations"]
    source = calculations if position is None else as_of(projection, max(0, position))
    m = molecules.c
    statement = (
        select(source, m.smiles, m.formula, name_of(asked.tenant_id, source).label("name"))
        .join_from(
            source,
            molecules,
            (m.tenant_id == source.c.tenant_id) & (m.id == source.c.molecule_id),
            isouter=True,
        )
        .where(source.c.tenant_id == asked.tenant_id, source.c.id == query.id)
    )
    return asked.connection.execute(statement).one_or_none()


def _geometry(asked: Asked) -> Any:
    a = atomic_properties.c
    statement = (
        select(atomic_properties)
        .where(a.tenant_id == asked.tenant_id, a.calculation_id == asked.query.id)
        .order_by(a.atom_index)
    )
    rows = asked.connection.execute(statement).all()
    points = [
        Point(row.element, row.position_x, row.position_y, row.position_z, row.partial_charge)
        for row in rows
    ]
    return {"rows": rows, "points": points}


def _errors(asked: Asked) -> Any:
    e = calculation_errors.c
    statement = (
        select(calculation_errors)
        .where(e.tenant_id == asked.tenant_id, e.calculation_id == asked.query.id)
        .order_by(e.id.desc())
    )
    return asked.connection.execute(statement).all()


def _log(asked: Asked) -> Any:
    x = calculation_execution_metrics.c
    statement = select(calculation_execution_metrics).where(
        x.tenant_id == asked.tenant_id, x.calculation_id == asked.query.id
    )
    return asked.connection.execute(statement).one_or_none()


def _history(asked: Asked) -> Any:
    log = event_logs.c
    statement = (
        select(log.id, log.event_type, log.version, log.occurred_at, log.user_id, log.metadata)
        .where(
            log.tenant_id == asked.tenant_id,
            log.entity_id == asked.query.id,
            log.entity_type == CalculationStarted.entity_type,
        )
        .order_by(log.version)
    )
    rows = asked.connection.execute(statement).all()
    return {"rows": rows, "positions": [row.id for row in rows]}


def _explanation(asked: Asked) -> Any:
    """Fold the events of the row again: which of them gave each column its value."""
    query: CalculationQuery = asked.query
    projection = PROJECTIONS["calculations"]
    position = query.as_of
    if position is None:
        checkpoint = read_checkpoints(asked.connection).get(projection.name)
        position = 0 if checkpoint is None else checkpoint.position
    key = {"tenant_id": asked.tenant_id, "id": query.id}
    found = lineage.explain(asked.connection, projection, key, position)
    types = {step.event.position: step.event.event_type for step in found.steps}
    return {"origins": [each for each in found.origins if each.positions], "types": types}


CALCULATION = Page(
    path="/calculations/{id}",
    title="Calculation",
    query=CalculationQuery,
    in_navigation=False,
    template="calculation/page.html",
    panels=(
        Panel(
            name="facts",
            title="Values",
            read=_facts,
            template="calculation/facts.html",
            live=LIVE,
            reads_log=True,
        ),
        Panel(
            name="history",
            title="History",
            read=_history,
            template="calculation/history.html",
            live=LIVE,
            reads_log=True,
        ),
        Panel(
            name="geometry",
            title="Geometry",
            read=_geometry,
            template="calculation/geometry.html",
        ),
        Panel(
            name="errors",
            title="Errors",
            read=_errors,
            template="calculation/errors.html",
            live=LIVE,
        ),
        Panel(name="log", title="Cost and log", read=_log, template="calculation/log.html"),
        Panel(
            name="explanation",
            title="Which event gave which value",
            read=_explanation,
            template="calculation/explanation.html",
            reads_log=True,
        ),
    ),
)
