"""`qforge db bind` and `unbind`: logins that see and append the events of one tenant."""

from uuid import UUID

import click

from quantum_forge.cli.command import Command
from quantum_forge.cli.session import open_whole_database
from quantum_forge.cli.show import console
from quantum_forge.eventstore.database.installation.bindings import bind_login, unbind_login
from quantum_forge.eventstore.database.installation.migrations import require_migrated


@click.command(cls=Command)
@click.argument("login")
@click.argument("tenant", type=click.UUID)
def bind(login: str, tenant: UUID) -> None:
    """Bind a login to a tenant, which it cannot leave.

    LOGIN sees and appends the events of TENANT only, from its next statement on, whatever its
    session sets. Requires the owner of the tables or a member of qforge_admin; no superuser.

    \b
    Example:
      qforge db psql -c "CREATE ROLE alice LOGIN IN ROLE qforge_reader"
      qforge db bind alice 6f1d4a52-0d7c-4c38-9a55-0c1f6f9f2f10
    """
    with open_whole_database() as database:
        require_migrated(database.engine)
        bind_login(database.engine, login, tenant)
    console.note(f"{login} is bound to tenant {tenant}.")


@click.command(cls=Command)
@click.argument("login")
def unbind(login: str) -> None:
    """Undo the binding of a login to a tenant.

    LOGIN acts for the tenant that its session names, from its next statement on.

    \b
    Example:
      qforge db unbind alice
    """
    with open_whole_database() as database:
        require_migrated(database.engine)
        unbind_login(database.engine, login)
    console.note(f"{login} is not bound to a tenant any more.")
