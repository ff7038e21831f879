"""Devices of the quantum hub, and the platforms that offer them."""

from typing import Annotated
from uuid import UUID

from msgspec import UNSET, Meta, UnsetType
from sqlalchemy import Index, Integer, Text, Uuid
from sqlalchemy.dialects.postgresql import JSONB

from quantum_forge.schema.language.event import Event, event
from quantum_forge.schema.language.fields import Name, Timestamp
from quantum_forge.schema.language.fold import constant, last
from quantum_forge.schema.language.lifecycle import NEW, lifecycle, status_after, when
from quantum_forge.schema.language.projection import projection
from quantum_forge.schema.language.table import check, column, either, one_of, read_model
from quantum_forge.schema.language.value import entity_id, nothing
from quantum_forge.schema.language.writing import written_by


@event("platform")
class PlatformRegistered(Event, frozen=True, kw_only=True):
    """A provider's platform can be used."""

    name: Name
    provider: Name
    api_url: str | None = None


@event("platform")
class PlatformUpdated(Event, frozen=True, kw_only=True):
    """A platform changed: absent leaves a value alone, null clears it."""

    name: Name | UnsetType = UNSET
    provider: Name | UnsetType = UNSET
    api_url: str | UnsetType | None = UNSET


@event("platform")
class PlatformRemoved(Event, frozen=True, kw_only=True):
    """A platform is not used any more."""

    reason: str | None = None


@event("device")
class DeviceRegistered(Event, frozen=True, kw_only=True):
    """A platform has a device, which is not online yet."""

    platform_id: UUID
    name: Name
    qubits: Annotated[int, Meta(ge=1)]
    properties: dict[str, object] | UnsetType = UNSET


@event("device")
class DeviceUpdated(Event, frozen=True, kw_only=True):
    """A device was recalibrated or described anew."""

    name: Name | UnsetType = UNSET
    qubits: Annotated[int, Meta(ge=1)] | UnsetType = UNSET
    properties: dict[str, object] | UnsetType | None = UNSET


@event("device")
class DeviceWentOnline(Event, frozen=True, kw_only=True):
    """A device takes jobs."""


@event("device")
class DeviceWentOffline(Event, frozen=True, kw_only=True):
    """A device takes no jobs."""

    reason: str | None = None


@event("device")
class DeviceMaintenanceStarted(Event, frozen=True, kw_only=True):
    """A device is being worked on, until about then."""

    reason: str | None = None
    until: Timestamp | None = None


@event("device")
class DeviceRemoved(Event, frozen=True, kw_only=True):
    """A device is not there any more."""

    reason: str | None = None


lifecycle(
    "platform",
    {
        PlatformRegistered: when(NEW, then="present"),
        PlatformUpdated: when("present"),
        PlatformRemoved: when("present", then="removed"),
    },
)

lifecycle(
    "device",
    {
        DeviceRegistered: when(NEW, then="offline", needs={"platform_id": ("platform", "present")}),
        DeviceUpdated: when("offline", "online", "maintenance"),
        DeviceWentOnline: when("offline", "maintenance", then="online"),
        DeviceWentOffline: when("online", "maintenance", then="offline"),
        DeviceMaintenanceStarted: when("offline", "online", then="maintenance"),
        DeviceRemoved: when("offline", "online", "maintenance", then="removed"),
    },
)

platforms = read_model(
    "platforms",
    "One row per provider's platform of quantum devices",
    [column("id", Uuid, "The platform")],
    column("name", Text, "Name of the platform", required=True),
    column("provider", Text, "Name of the provider", required=True),
    column("api_url", Text, "URL of its API"),
    Index("platforms_name_idx", "tenant_id", "name"),
)

_STATES = status_after(DeviceWentOnline, DeviceWentOffline, DeviceMaintenanceStarted).values()

devices = read_model(
    "devices",
    "One row per quantum device",
    [column("id", Uuid, "The device")],
    column("platform_id", Uuid, "Id of the platform of the device", required=True),
    column("name", Text, "Name of the device", required=True),
    column("qubits", Integer, "Number of qubits", required=True),
    column("status", Text, either(_STATES), required=True),
    column("status_reason", Text, "Reason for the status"),
    column("properties", JSONB, "Topology, error rates, … as reported by the platform"),
    one_of("device_status_is_known", "status", _STATES),
    check("device_has_qubits", "qubits > 0"),
    Index("devices_platform_idx", "tenant_id", "platform_id"),
    Index("devices_status_idx", "tenant_id", "status"),
)

projection(
    platforms,
    events=[PlatformRegistered, PlatformUpdated],
    key={"id": entity_id},
    opens=[PlatformRegistered],
    ends=[PlatformRemoved],
)

projection(
    devices,
    events=[
        DeviceRegistered,
        DeviceUpdated,
        DeviceWentOnline,
        DeviceWentOffline,
        DeviceMaintenanceStarted,
    ],
    key={"id": entity_id},
    opens=[DeviceRegistered],
    ends=[DeviceRemoved],
    columns={
        "status": constant(
            status_after(
                DeviceRegistered, DeviceWentOnline, DeviceWentOffline, DeviceMaintenanceStarted
            )
        ),
        "status_reason": last(
            nothing(DeviceWentOnline), DeviceWentOffline.reason, DeviceMaintenanceStarted.reason
        ),
    },
)

written_by(platforms, insert=PlatformRegistered, update=PlatformUpdated, delete=PlatformRemoved)

written_by(
    devices,
    insert=DeviceRegistered,
    update=[DeviceUpdated, DeviceWentOnline, DeviceWentOffline, DeviceMaintenanceStarted],
    delete=DeviceRemoved,
)
