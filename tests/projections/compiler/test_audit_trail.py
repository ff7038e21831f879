"""The audit trail: who did what, in a few words, without secrets."""

import re
from uuid import uuid4

import pytest
from sqlalchemy import Column, Connection, select
from sqlalchemy.dialects.postgresql import JSONB

from quantum_forge.eventstore.base.envelope import NewEvent
from quantum_forge.projections.compiler import rows
from quantum_forge.projections.project.folding import fold
from quantum_forge.projections.registry import PROJECTIONS
from quantum_forge.schema.domains.audit import (
    AccessDenied,
    DataExported,
    user_audit_log,
)
from quantum_forge.schema.domains.telemetry import PerformanceMetric
from quantum_forge.schema.domains.users import UserLoggedIn
from quantum_forge.schema.language.event import Event
from quantum_forge.schema.language.fold import last
from quantum_forge.schema.language.projection import Projection, WrongDeclaration
from quantum_forge.schema.language.value import entity_id, short_facts
from tests.support.appending import TENANT
from tests.support.recording import bounds, recorded
from tests.support.toys import toy_table

TRAIL = PROJECTIONS["user_audit_log"]
USER = uuid4()
HASH = "$argon2id$v=19$m=19456,t=2,p=1$bm9ib2R5J3Mgc2FsdA$bm9ib2R5J3MgaGFzaA"


def test_the_audit_trail_tells_who_what_whence_and_with_which_outcome(
    connection: Connection,
) -> None:
    """An export, a denied access, a login; a metric is none of an auditor's business."""
    molecule = uuid4()
    project(
        connection,
        TRAIL,
        [
            DataExported(what="calculations", format="csv", row_count=7),
            AccessDenied(
                action="molecule_delete",
                reason="viewer",
                target_type="molecule",
                target_id=molecule,
            ),
            UserLoggedIn(),
            PerformanceMetric(metric_type="gauge", metric_name="x", value=1.0, unit="s"),
        ],
    )

    table = user_audit_log
    found = connection.execute(select(table).order_by(table.c.id)).all()

    assert [(row.action, row.status, row.entity_type) for row in found] == [
        ("data_export", "success", "export"),
        ("molecule_delete", "denied", "molecule"),
        ("login", "success", "user"),
    ]
    assert found[0].details == {"what": "calculations", "format": "csv", "row_count": 7}
    assert (found[1].entity_id, found[1].reason) == (molecule, "viewer")
    assert {(row.user_id, row.ip_address, row.user_agent) for row in found} == {
        (USER, "192.0.2.7", "Firefox")
    }


def test_a_row_per_event_is_folded_without_grouping() -> None:
    """However many event types there are, the statement groups nothing but tenants' cutoffs."""
    statement = str(rows(TRAIL, onto_table=True))

    assert re.findall(r"GROUP BY ([\w., ]+)\)", statement) == ["applied.tenant_id"]
    assert re.findall(r"JOIN \(SELECT ([\w.]+)", statement) == ["applied.tenant_id"]


def test_short_facts_are_only_for_rows_of_single_events() -> None:
    """They are of one event; a row of several has no such thing."""
    with pytest.raises(WrongDeclaration, match="only a projection with one row per event"):
        Projection(
            toy_table("logins", Column("details", JSONB)),
            events=[UserLoggedIn],
            key={"id": entity_id},
            columns={"details": last(short_facts)},
        )


def project(connection: Connection, projection: Projection, happened: list[Event]) -> None:
    """Record what a user did, and fold it."""
    history = [
        NewEvent(
            tenant_id=TENANT,
            entity_id=uuid4(),
            event=event,
            user_id=USER,
            metadata={"ip_address": "192.0.2.7", "user_agent": "Firefox"},
        )
        for event in happened
    ]
    first, head = bounds(recorded(connection, history))
    fold(connection, projection, after=first, upto=head)
