"""What is recorded for auditors alone; every other audited action is an event of its own."""

from eventstore.recorders.domain import Domain, creates
from schema.events.audit import AccessDenied, ActionAudited, DataExported


class Audit(Domain):
    """Exports, denied accesses, and actions of other programs."""

    export = creates(DataExported)
    deny = creates(AccessDenied)
    record_action = creates(ActionAudited)
