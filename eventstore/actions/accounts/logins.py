"""Actions on logins of the database: link each to the user who connects with it."""

from uuid import UUID

from sqlalchemy import Connection, text

from quantum_forge.eventstore.base.envelope import Placed
from quantum_forge.eventstore.base.errors import LoginNotLinked, RuleBroken, UnknownLogin
from quantum_forge.eventstore.recording.domain import Domain
from quantum_forge.schema.domains.logins import LoginLinked, LoginUnlinked, login_id

_CAN_LOG_IN = text("SELECT rolcanlogin FROM pg_roles WHERE rolname = :login")


class Logins(Domain):
    """Logins of the database that act as users of the tenant."""

    def link(self, login: str, user_id: UUID, /) -> Placed:
        """Record that who connects with a login acts as a user, and as no other.

        Raises:
            UnknownLogin: when the server has no such login.
            RuleBroken: when there is no such user, or it is not active.
        """
        with self.engine.connect() as connection:
            require_login(connection, login)
        event = LoginLinked(login=login, user_id=user_id)
        return self.record((login_id(self.author.tenant_id, login), event))[0]

    def unlink(self, login: str, /) -> Placed:
        """Record that a login acts as no user any more.

        Raises:
            LoginNotLinked: when it did not act as one before.
        """
        its_id = login_id(self.author.tenant_id, login)
        try:
            return self.record((its_id, LoginUnlinked(login=login)))[0]
        except RuleBroken as error:
            raise LoginNotLinked(login) from error


def require_login(connection: Connection, login: str) -> None:
    """Refuse the name of a role with which nobody can connect.

    Raises:
        UnknownLogin
    """
    if not connection.scalar(_CAN_LOG_IN, {"login": login}):
        raise UnknownLogin(login)
