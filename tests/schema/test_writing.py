"""Which tables clients may write, and that a declaration of it is checked when it is made."""

from collections.abc import Mapping
from typing import Any

import pytest

from quantum_forge.schema.domains import PROJECTIONS
from quantum_forge.schema.domains.bookmarks import BookmarkAdded, bookmarks
from quantum_forge.schema.domains.marketplace import SubscriptionKeyIssued, subscription_keys
from quantum_forge.schema.domains.molecules import MoleculeCreated
from quantum_forge.schema.domains.users import UserRegistered, users
from quantum_forge.schema.language.projection import WrongDeclaration
from quantum_forge.schema.language.table import is_secret
from quantum_forge.schema.language.writing import WRITINGS, written_by

NOT_WRITTEN: Mapping[str, str] = {
    "molecule_fingerprints": "it follows from the molecules and their computed properties",
    "users": "an account takes a password, and claims its names: actions record both",
    "user_sessions": "a session is opened, kept and closed by actions, which know its token",
    "user_api_keys": "a key is shown once, by the action that issues it",
    "user_logins": "a link of a login is checked against the logins of the database",
    "subscription_keys": "the hash of a key is never sent",
    "batch_items": "rows of events that a runner records",
    "batch_item_names": "rows of events that a runner records",
    "batch_job_performance": "counted from calculations",
    "atomic_properties": "rows of the event that completes a calculation",
    "calculation_execution_metrics": "rows of the event that completes a calculation",
    "performance_metrics_hourly": "counted from measurements",
    "notifications": "what the notifier has sent",
    "performance_regressions": "found by the notifier",
    "spools": "what a machine reports of itself",
    "api_usage_logs": "what the server records of requests",
}
"""Tables that no request writes, and why."""


def test_every_table_is_written_by_events_or_for_a_reason_not() -> None:
    """Whoever adds a table decides."""
    assert not WRITINGS.keys() & NOT_WRITTEN.keys()
    assert WRITINGS.keys() | NOT_WRITTEN.keys() == PROJECTIONS.keys()


def test_no_request_writes_what_the_engine_fills_or_what_is_secret() -> None:
    """Such as a hash, a count, or the position of an event."""
    for writing in WRITINGS.values():
        named = {*writing.insertable, *writing.updatable}
        assert named, writing.table
        assert not named & {"tenant_id", "created_at", "updated_at", "last_position"}
        columns = writing.projection.table.c
        assert not [name for name in named if is_secret(columns[name])]
        assert not [name for name in named if columns[name].computed is not None]


@pytest.mark.parametrize(
    ("table", "declared", "reason"),
    [
        (bookmarks, {"insert": BookmarkAdded}, "twice"),
        (users, {"insert": MoleculeCreated}, "not among its events"),
        (subscription_keys, {"insert": SubscriptionKeyIssued}, "no column is written to key_hash"),
        (users, {"insert": UserRegistered, "identified_by": ["role_"]}, "no insert sets role_"),
    ],
)
def test_a_wrong_declaration_is_refused(table: Any, declared: Any, reason: str) -> None:
    """With the table and what is wrong."""
    with pytest.raises(WrongDeclaration, match=reason) as refused:
        written_by(table, **declared)
    assert str(table.name) in str(refused.value)
