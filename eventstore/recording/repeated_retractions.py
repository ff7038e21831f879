"""Retractions whose criteria the results of a run would meet again."""

from datetime import datetime
from uuid import UUID

import msgspec
from sqlalchemy import Connection, func, select

from quantum_forge.schema.domains.retractions import ResultsRetracted, RetractionReversed
from quantum_forge.schema.tables import event_logs


class Repeated(msgspec.Struct, frozen=True, kw_only=True):
    """An earlier retraction whose criteria the results of a run would meet.

    what: the method or program version that it names. reason, decided_at: of the decision.
    """

    what: str
    reason: str
    decided_at: datetime


def repeated_by(
    connection: Connection, tenant_id: UUID, *, method: str, program_version: str, host: str
) -> list[Repeated]:
    """Return the decisions whose criteria the results of a run would meet, the latest first.

    Only those that name a method or a program version, and no batch, calculation or molecule, and
    that were not reversed: what they found wrong may be wrong still. Empty for a login that may not
    read the log.
    """
    if not connection.scalar(select(func.has_table_privilege(event_logs.name, "SELECT"))):
        return []
    c, reversal = event_logs.c, event_logs.alias("reversal")
    query = (
        select(c.data, c.occurred_at)
        .where(
            c.tenant_id == tenant_id,
            c.event_type == ResultsRetracted.event_type,
            c.entity_id.not_in(
                select(reversal.c.entity_id).where(
                    reversal.c.tenant_id == tenant_id,
                    reversal.c.event_type == RetractionReversed.event_type,
                )
            ),
        )
        .order_by(c.id.desc())
    )
    present = {"method": method, "program_version": program_version, "host": host}
    found: dict[str, Repeated] = {}
    for data, decided_at in connection.execute(query):
        named = {name: data[name] for name in present if data.get(name) is not None}
        narrowed = any(data.get(name) for name in ("batch_id", "calculation_id", "molecule_id"))
        if narrowed or not named.keys() & {"method", "program_version"}:
            continue
        if all(present[name] == value for name, value in named.items()):
            words = {"program_version": "program version", "method": "method", "host": "host"}
            what = " and ".join(f"{words[name]} {named[name]}" for name in words if name in named)
            repeated = Repeated(what=what, reason=str(data.get("reason")), decided_at=decided_at)
            found.setdefault(what, repeated)
    return list(found.values())
