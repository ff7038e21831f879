"""Actions that are recorded for auditors alone."""

from quantum_forge.eventstore.recording.domain import Domain, creates
from quantum_forge.schema.domains.audit import AccessDenied, ActionAudited, DataExported


class Audit(Domain):
    """Exports, denied accesses, and actions of other programs."""

    export = creates(DataExported)
    deny = creates(AccessDenied)
    record_action = creates(ActionAudited)
