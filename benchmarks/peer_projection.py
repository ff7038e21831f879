"""The peer's way to a read model: its subscription, its tracking, one event a transaction.

As https://eventsourcing.readthedocs.io/en/stable/topics/projection.html shows: a materialised view
is a tracking recorder with a method per change, which writes the row and the tracking record in one
transaction. Events are decoded by msgspec, which is faster than its own mapper and transcoder.
"""

import time
from collections.abc import Mapping
from typing import Any

import msgspec
from eventsourcing.persistence import Tracking
from eventsourcing.postgres import PostgresTrackingRecorder
from sqlalchemy.engine import URL

from benchmarks import peer
from benchmarks.workload import TENANT, USER

TABLE = "calculations_by_peer"

_STARTED = f"""
    INSERT INTO {TABLE} (
        tenant_id, id, molecule_id, batch_id, user_id, status, attempt, method, solvation_model,
        optimization_level, charge, multiplicity, program, program_version, xyz_sha256, started_at,
        created_at, updated_at, last_position)
    VALUES (
        %(tenant)s, %(id)s, %(molecule_id)s, %(batch_id)s, %(user)s, 'running', %(attempt)s,
        %(method)s, %(solvation_model)s, %(optimization_level)s, %(charge)s, %(multiplicity)s,
        %(program)s, %(program_version)s, %(xyz_sha256)s, %(at)s, %(at)s, %(at)s, %(position)s)
    ON CONFLICT (tenant_id, id) DO UPDATE SET
        molecule_id = excluded.molecule_id, batch_id = excluded.batch_id,
        user_id = excluded.user_id, status = 'running', attempt = excluded.attempt,
        method = excluded.method, solvation_model = excluded.solvation_model,
        optimization_level = excluded.optimization_level, charge = excluded.charge,
        multiplicity = excluded.multiplicity, program = excluded.program,
        program_version = excluded.program_version, xyz_sha256 = excluded.xyz_sha256,
        started_at = excluded.started_at, error_type = NULL, error_message = NULL,
        updated_at = greatest({TABLE}.updated_at, excluded.updated_at),
        last_position = excluded.last_position
"""
_ENDED = """
    molecule_id = %(molecule_id)s, batch_id = %(batch_id)s, completed_at = %(at)s,
    execution_time_seconds = %(wall_time_seconds)s, updated_at = greatest(updated_at, %(at)s),
    last_position = %(position)s WHERE tenant_id = %(tenant)s AND id = %(id)s
"""
_COMPLETED = f"""
    UPDATE {TABLE} SET status = 'completed', energy = %(energy)s, homo = %(homo)s, lumo = %(lumo)s,
        gap = %(gap)s, dipole = %(dipole)s, convergence_status = %(convergence_status)s,
        program = %(program)s, program_version = %(program_version)s,
        xyz_sha256 = %(xyz_sha256)s, {_ENDED}
"""
_FAILED = f"""
    UPDATE {TABLE} SET status = 'failed', error_type = %(error_type)s,
        error_message = %(error_message)s, {_ENDED}
"""
_INVALIDATED = f"UPDATE {TABLE} SET status = 'invalidated', error_message = %(reason)s, {_ENDED}"
_STATEMENTS = {
    "calculation_started": _STARTED,
    "calculation_completed": _COMPLETED,
    "calculation_failed": _FAILED,
    "calculation_invalidated": _INVALIDATED,
}

TOPICS = [f"quantum_forge.schema.events:{event_type}" for event_type in _STATEMENTS]

COPY_LOG = """
    INSERT INTO stored_events (originator_id, originator_version, topic, state)
    SELECT entity_id, version, 'quantum_forge.schema.events:' || event_type,
           convert_to(jsonb_set(data, '{at}', to_jsonb(occurred_at))::text, 'UTF8')
      FROM event_logs WHERE id <= %(upto)s ORDER BY id
"""
"""Puts the log into its table, the time among the fields, as its events have it."""


class CalculationsView(PostgresTrackingRecorder):
    """The read model as its documentation has one."""

    def apply(self, event_type: str, facts: Mapping[str, Any], tracking: Tracking) -> None:
        """Change the row and record how far the view is, in one transaction."""
        with self.datastore.transaction(commit=True) as cursor:
            cursor.execute(_STATEMENTS[event_type], facts, prepare=True)
            self._insert_tracking(cursor, tracking)


def project(url: URL, events: int) -> float:
    """Project that many events from the beginning; return how many a second it did."""
    with peer.infrastructure(url, create_table=True) as factory:
        view = factory.tracking_recorder(CalculationsView)
        assert isinstance(view, CalculationsView)
        done = 0
        began = time.perf_counter()
        with factory.application_recorder().subscribe(gt=0, topics=TOPICS) as subscription:
            for notification in subscription:
                facts = msgspec.json.decode(notification.state)
                facts |= {
                    "tenant": TENANT,
                    "user": USER,
                    "id": notification.originator_id,
                    "position": notification.id,
                }
                facts.pop("atoms", None)
                view.apply(
                    notification.topic.partition(":")[2], facts, Tracking("log", notification.id)
                )
                done += 1
                if done == events:
                    break
        return events / (time.perf_counter() - began)
