"""Names of projects and organisations: one holder at a time, whoever records and however."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from uuid import UUID

import pytest
from sqlalchemy import Engine

from quantum_forge.eventstore.actions.by_name import record_by_name
from quantum_forge.eventstore.base.errors import NameOfAnother
from quantum_forge.eventstore.database.settings import DEFAULT_TENANT_ID
from quantum_forge.eventstore.recording.author import Author
from quantum_forge.eventstore.recording.recorder import Recorder
from quantum_forge.schema.domains.discovery import ProjectCreated, ProjectDeleted, ProjectUpdated
from quantum_forge.schema.domains.organizations import (
    OrganizationCreated,
    OrganizationDeleted,
    OrganizationRenamed,
)
from quantum_forge.schema.language.event import Event

AUTHOR = Author(tenant_id=DEFAULT_TENANT_ID)
OTHER_TENANT = Author(tenant_id=UUID(int=7, version=4))
KINDS: list[tuple[Callable[[str], Event], Callable[[str], Event], Event]] = [
    (
        lambda name: ProjectCreated(name=name),
        lambda name: ProjectUpdated(name=name),
        ProjectDeleted(),
    ),
    (
        lambda name: OrganizationCreated(name=name),
        lambda name: OrganizationRenamed(name=name),
        OrganizationDeleted(),
    ),
]


def test_a_name_has_one_holder_until_it_is_renamed_or_deleted(engine: Engine) -> None:
    """Of its kind and tenant; by a raw event, in one append, and when an append is repeated."""
    with Recorder(engine, AUTHOR) as recorder, Recorder(engine, OTHER_TENANT) as other:
        for create, rename, delete in KINDS:
            first = recorder.record(create("A")).entity_id
            with pytest.raises(NameOfAnother, match=f"the name 'A' is taken by the .* {first}"):
                recorder.record(create("A"))
            second = recorder.record(create("B")).entity_id
            with pytest.raises(NameOfAnother):
                recorder.record(rename("A"), of=second)
            recorder.record(rename("A"), of=first)
            other.record(create("A"))

            recorder.record(rename("C"), of=first)
            again = recorder.new(recorder.new_id(), create("A"))
            placed = [recorder.record_all(again) or [] for _ in range(2)]
            assert [one.appended for (one,) in placed] == [True, False]
            recorder.record(delete, of=first)
            recorder.record(create("C"))
            with pytest.raises(NameOfAnother):
                recorder.record_all(*(recorder.new(recorder.new_id(), create("D")) for _ in "ab"))
        with pytest.raises(NameOfAnother):
            record_by_name(recorder, "project_created", b'{"name": "A"}')


def test_of_those_who_take_a_name_at_the_same_moment_one_gets_it(engine: Engine) -> None:
    """Each has seen it free; one is in the log."""
    together = Barrier(6)

    def create(_: int) -> str:
        with Recorder(engine, AUTHOR) as recorder:
            together.wait()
            try:
                recorder.record(ProjectCreated(name="Malaria"))
            except NameOfAnother:
                return "refused"
            return "created"

    with ThreadPoolExecutor(6) as pool:
        outcomes = sorted(pool.map(create, range(6)))

    assert outcomes == ["created"] + ["refused"] * 5
