# Written by python -m quantum_forge.event_types.
from quantum_forge.schema.domains.access import (
    ApiKeyIssued as ApiKeyIssued,
    ApiKeyRevoked as ApiKeyRevoked,
    ApiKeyUsed as ApiKeyUsed,
    SessionClosed as SessionClosed,
    SessionExpired as SessionExpired,
    SessionExtended as SessionExtended,
    SessionOpened as SessionOpened,
    SessionStateSaved as SessionStateSaved,
)
from quantum_forge.schema.domains.apps import (
    AppVersionPublished as AppVersionPublished,
    AppVersionYanked as AppVersionYanked,
    QuantumAppCreated as QuantumAppCreated,
    QuantumAppDeleted as QuantumAppDeleted,
    QuantumAppUpdated as QuantumAppUpdated,
)
from quantum_forge.schema.domains.audit import (
    AccessDenied as AccessDenied,
    ActionAudited as ActionAudited,
    DataExported as DataExported,
)
from quantum_forge.schema.domains.batches import (
    BatchCancelled as BatchCancelled,
    BatchCompleted as BatchCompleted,
    BatchCreated as BatchCreated,
    BatchFailed as BatchFailed,
    BatchItemRefused as BatchItemRefused,
    BatchItemReused as BatchItemReused,
    BatchItemsAdded as BatchItemsAdded,
    BatchItemsNamed as BatchItemsNamed,
    BatchProgressed as BatchProgressed,
    BatchResumed as BatchResumed,
    BatchStarted as BatchStarted,
    BatchStopRequested as BatchStopRequested,
)
from quantum_forge.schema.domains.bookmarks import (
    BookmarkAdded as BookmarkAdded,
    BookmarkRelabelled as BookmarkRelabelled,
    BookmarkRemoved as BookmarkRemoved,
)
from quantum_forge.schema.domains.calculations import (
    CalculationCompleted as CalculationCompleted,
    CalculationErrorResolved as CalculationErrorResolved,
    CalculationFailed as CalculationFailed,
    CalculationGivenUp as CalculationGivenUp,
    CalculationInvalidated as CalculationInvalidated,
    CalculationLost as CalculationLost,
    CalculationRequested as CalculationRequested,
    CalculationRestored as CalculationRestored,
    CalculationRetryScheduled as CalculationRetryScheduled,
    CalculationStarted as CalculationStarted,
)
from quantum_forge.schema.domains.devices import (
    DeviceMaintenanceStarted as DeviceMaintenanceStarted,
    DeviceRegistered as DeviceRegistered,
    DeviceRemoved as DeviceRemoved,
    DeviceUpdated as DeviceUpdated,
    DeviceWentOffline as DeviceWentOffline,
    DeviceWentOnline as DeviceWentOnline,
    PlatformRegistered as PlatformRegistered,
    PlatformRemoved as PlatformRemoved,
    PlatformUpdated as PlatformUpdated,
)
from quantum_forge.schema.domains.discovery import (
    AdmetPredictionDeleted as AdmetPredictionDeleted,
    AdmetPredictionRecorded as AdmetPredictionRecorded,
    DockingResultDeleted as DockingResultDeleted,
    DockingResultRecorded as DockingResultRecorded,
    ProjectCreated as ProjectCreated,
    ProjectDeleted as ProjectDeleted,
    ProjectUpdated as ProjectUpdated,
    ProteinStructureAdded as ProteinStructureAdded,
    ProteinStructureDeleted as ProteinStructureDeleted,
)
from quantum_forge.schema.domains.jobs import (
    JobCancelled as JobCancelled,
    JobCompleted as JobCompleted,
    JobFailed as JobFailed,
    JobQueued as JobQueued,
    JobStarted as JobStarted,
)
from quantum_forge.schema.domains.logins import (
    LoginLinked as LoginLinked,
    LoginUnlinked as LoginUnlinked,
)
from quantum_forge.schema.domains.marketplace import (
    MarketplaceListingCreated as MarketplaceListingCreated,
    MarketplaceListingPublished as MarketplaceListingPublished,
    MarketplaceListingUpdated as MarketplaceListingUpdated,
    MarketplaceListingWithdrawn as MarketplaceListingWithdrawn,
    SubscriptionCancelled as SubscriptionCancelled,
    SubscriptionKeyIssued as SubscriptionKeyIssued,
    SubscriptionKeyRevoked as SubscriptionKeyRevoked,
    SubscriptionPaymentFailed as SubscriptionPaymentFailed,
    SubscriptionRenewed as SubscriptionRenewed,
    SubscriptionStarted as SubscriptionStarted,
)
from quantum_forge.schema.domains.molecules import (
    MoleculeAddedToProject as MoleculeAddedToProject,
    MoleculeCreated as MoleculeCreated,
    MoleculeDeleted as MoleculeDeleted,
    MoleculePropertiesComputed as MoleculePropertiesComputed,
    MoleculeRemovedFromProject as MoleculeRemovedFromProject,
    MoleculeUpdated as MoleculeUpdated,
)
from quantum_forge.schema.domains.notifications import (
    NotificationAbandoned as NotificationAbandoned,
    NotificationDelivered as NotificationDelivered,
    NotificationFailed as NotificationFailed,
    NotificationQueued as NotificationQueued,
    NotificationsPlanned as NotificationsPlanned,
)
from quantum_forge.schema.domains.organizations import (
    OrganizationCreated as OrganizationCreated,
    OrganizationDeleted as OrganizationDeleted,
    OrganizationMemberAdded as OrganizationMemberAdded,
    OrganizationMemberRemoved as OrganizationMemberRemoved,
    OrganizationMemberRoleChanged as OrganizationMemberRoleChanged,
    OrganizationRenamed as OrganizationRenamed,
)
from quantum_forge.schema.domains.retention import (
    RetentionApplied as RetentionApplied,
    RetentionSet as RetentionSet,
)
from quantum_forge.schema.domains.retractions import (
    ResultsRetracted as ResultsRetracted,
    RetractionReversed as RetractionReversed,
)
from quantum_forge.schema.domains.system import (
    SpoolReported as SpoolReported,
)
from quantum_forge.schema.domains.telemetry import (
    ApiRequestServed as ApiRequestServed,
    Error as Error,
    PerformanceMetric as PerformanceMetric,
    PerformanceRegressionFound as PerformanceRegressionFound,
)
from quantum_forge.schema.domains.users import (
    NameClaimed as NameClaimed,
    NameReleased as NameReleased,
    UserDeactivated as UserDeactivated,
    UserLoggedIn as UserLoggedIn,
    UserLoggedOut as UserLoggedOut,
    UserLoginFailed as UserLoginFailed,
    UserPasswordChanged as UserPasswordChanged,
    UserPreferencesChanged as UserPreferencesChanged,
    UserProfileUpdated as UserProfileUpdated,
    UserReactivated as UserReactivated,
    UserRegistered as UserRegistered,
    UserRoleChanged as UserRoleChanged,
    UserTierChanged as UserTierChanged,
    UserTwoFactorDisabled as UserTwoFactorDisabled,
    UserTwoFactorEnabled as UserTwoFactorEnabled,
    UserTwoFactorPrepared as UserTwoFactorPrepared,
    UserUpdated as UserUpdated,
)
