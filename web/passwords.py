"""Changing one's own password over HTTP: whoever asks knows the present one."""

from uuid import UUID

from quantum_forge.eventstore.actions.accounts.users import Users
from quantum_forge.eventstore.base.envelope import Placed
from quantum_forge.eventstore.base.errors import NotLetIn
from quantum_forge.eventstore.base.secret import Secret
from quantum_forge.eventstore.recording.latest_fields import latest_values
from quantum_forge.eventstore.recording.recorder import Recorder
from quantum_forge.schema.domains.users import UserRegistered
from quantum_forge.web.rest.errors import RestError

WRONG_PASSWORD = "28P01"


def change_password(recorder: Recorder, user_id: UUID, *, current: Secret, new: Secret) -> Placed:
    """Record another password of a user; sessions and API keys from before it have ended then.

    The present password is checked as at a login, and counts as one: after ten failures in a row
    the account is locked.

    Raises:
        RestError: 400, 28P01, when the present password is wrong; 429 while the account is locked.
        WeakPassword: when the new one is too short.
    """
    users = Users(recorder)
    stream = recorder.stream(UserRegistered.entity_type, user_id)
    with recorder.engine.connect() as connection:
        name = latest_values(connection, stream, ["username"])["username"]
    try:
        users.log_in(name, current)
    except NotLetIn as refused:
        if refused.reason.startswith("locked"):
            raise RestError(
                429,
                "QF429",
                "too many failed logins; wait a quarter of an hour",
                headers={"Retry-After": "900"},
            ) from None
        raise RestError(400, WRONG_PASSWORD, "the present password is wrong") from None
    return users.change_password(user_id, password=new)
