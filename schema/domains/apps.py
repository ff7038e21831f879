"""Apps of the quantum hub, and their versions."""

from enum import StrEnum
from typing import Any
from uuid import UUID

from msgspec import UNSET, UnsetType
from sqlalchemy import BigInteger, Index, Text, Uuid

from quantum_forge.schema.language.event import Event, event
from quantum_forge.schema.language.fields import Name, NonEmptyText
from quantum_forge.schema.language.fold import count, last
from quantum_forge.schema.language.identity import natural_id
from quantum_forge.schema.language.lifecycle import NEW, lifecycle, when
from quantum_forge.schema.language.projection import projection
from quantum_forge.schema.language.table import TIMESTAMP, column, either, one_of, read_model
from quantum_forge.schema.language.value import entity_id, occurred_at, user_id
from quantum_forge.schema.language.words import searched
from quantum_forge.schema.language.writing import written_by


class Visibility(StrEnum):
    """Who finds an app: its owner, whoever has the link, everybody."""

    PRIVATE = "private"
    UNLISTED = "unlisted"
    PUBLIC = "public"


@event("quantum_app")
class QuantumAppCreated(Event, frozen=True, kw_only=True):
    """An app was begun; it runs once a version is published."""

    name: Name
    description: str | None = None
    visibility: Visibility = Visibility.PRIVATE
    project_id: UUID | None = None


@event("quantum_app")
class QuantumAppUpdated(Event, frozen=True, kw_only=True):
    """An app was described anew: absent leaves a value alone, null clears it."""

    name: Name | UnsetType = UNSET
    description: str | UnsetType | None = UNSET
    visibility: Visibility | UnsetType = UNSET


@event("quantum_app")
class QuantumAppDeleted(Event, frozen=True, kw_only=True):
    """An app was deleted; what ran stays recorded."""

    reason: str | None = None


def _by_number(tenant_id: UUID, published: Any) -> UUID:
    return natural_id("app_version", tenant_id, published.app_id, published.version)


@event("app_version", identity=_by_number)
class AppVersionPublished(Event, frozen=True, kw_only=True):
    """A version of an app can be run from now on. artifact_key: where its code is."""

    app_id: UUID
    version: Name
    artifact_key: NonEmptyText
    changelog: str | None = None


@event("app_version")
class AppVersionYanked(Event, frozen=True, kw_only=True):
    """A version must not be run any more; its number is never given again."""

    reason: str


lifecycle(
    "quantum_app",
    {
        QuantumAppCreated: when(NEW, then="present", needs={"project_id": ("project", "active")}),
        QuantumAppUpdated: when("present"),
        QuantumAppDeleted: when("present", then="deleted"),
    },
)

lifecycle(
    "app_version",
    {
        AppVersionPublished: when(
            NEW, then="published", needs={"app_id": ("quantum_app", "present")}
        ),
        AppVersionYanked: when("published", then="yanked"),
    },
)

quantum_apps = read_model(
    "quantum_apps",
    "One row per app that runs on quantum devices",
    [column("id", Uuid, "The app")],
    column("project_id", Uuid, "Project that it belongs to"),
    column("user_id", Uuid, "User who created it"),
    column("name", Text, "Name of the app", required=True),
    column("description", Text, "Description"),
    column("visibility", Text, either(Visibility), required=True),
    column("version_count", BigInteger, "Number of published versions", required=True),
    column("latest_version", Text, "Version published last"),
    one_of("visibility_is_known", "visibility", Visibility),
    Index("quantum_apps_name_idx", "tenant_id", "name"),
    Index("quantum_apps_project_idx", "tenant_id", "project_id"),
    searched("quantum_apps", "name", "description"),
)

app_versions = read_model(
    "app_versions",
    "One row per published version of an app",
    [column("id", Uuid, "uuid5 of app and version")],
    column("app_id", Uuid, "Id of the app", required=True),
    column("version", Text, "Version number", required=True),
    column("changelog", Text, "Changes in this version"),
    column("artifact_key", Text, "Location of the code", required=True),
    column("user_id", Uuid, "User who published it"),
    column("published_at", TIMESTAMP, "Time from which it could be run", required=True),
    column("yanked_at", TIMESTAMP, "Time from which it must not be run"),
    column("yank_reason", Text, "Reason why it must not be run"),
    Index("app_versions_app_idx", "tenant_id", "app_id", "published_at"),
)

projection(
    quantum_apps,
    events=[QuantumAppCreated, QuantumAppUpdated, AppVersionPublished],
    key={"id": (AppVersionPublished.app_id, entity_id)},
    opens=[QuantumAppCreated],
    ends=[QuantumAppDeleted],
    columns={
        "user_id": last(user_id(QuantumAppCreated)),
        "version_count": count(AppVersionPublished),
        "latest_version": last(AppVersionPublished.version),
    },
)

projection(
    app_versions,
    events=[AppVersionPublished, AppVersionYanked],
    key={"id": entity_id},
    opens=[AppVersionPublished],
    columns={
        "user_id": last(user_id(AppVersionPublished)),
        "published_at": last(occurred_at(AppVersionPublished)),
        "yanked_at": last(occurred_at(AppVersionYanked)),
        "yank_reason": last(AppVersionYanked.reason),
    },
)

written_by(
    quantum_apps, insert=QuantumAppCreated, update=QuantumAppUpdated, delete=QuantumAppDeleted
)

written_by(
    app_versions,
    insert=AppVersionPublished,
    update=AppVersionYanked,
    identified_by=["app_id", "version"],
)
