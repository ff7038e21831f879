"""`qforge organizations`: organisations of the tenant, and who belongs to them."""

from uuid import UUID

import click

from quantum_forge.cli.command import Group
from quantum_forge.cli.parse.account import naming, user_id_of
from quantum_forge.cli.parse.options import json_option, limit_option
from quantum_forge.cli.session import open_forge
from quantum_forge.cli.show import columns, console
from quantum_forge.cli.show.columns import Shown
from quantum_forge.cli.show.view import view_options
from quantum_forge.eventstore.actions.accounts.organizations import Organizations
from quantum_forge.eventstore.recording.recorder import Recorder
from quantum_forge.forge import Forge
from quantum_forge.projections.queries import groups
from quantum_forge.projections.queries.lookup import find_organization
from quantum_forge.projections.queries.rows import rows
from quantum_forge.schema.domains.organizations import (
    MemberRole,
    OrganizationCreated,
    OrganizationMemberAdded,
)

LISTED = (
    Shown("id"),
    Shown("name", long=True),
    Shown("member_count", 0, "members"),
    Shown("created_at", label="created", rank=1),
)
MEMBERS = (
    Shown("user_id", label="id"),
    Shown("username", label="user"),
    Shown("role"),
    Shown("joined_at", label="joined", rank=1),
)
NEEDED = ("organizations",)
"""The read models by which an organisation is found."""

_role = click.option(
    "--role",
    type=click.Choice([role.value for role in MemberRole]),
    default=MemberRole.MEMBER.value,
    show_default=True,
    help="What the member may do: owners and admins are admins of the tenant.",
)


@click.group(cls=Group)
def organizations() -> None:
    """Create organisations, and say who belongs to them.

    \b
    Example:
      qforge organizations create 'Theory group'
      qforge organizations add 'Theory group' ada --role owner
    """


@organizations.command("list")
@limit_option("the newest")
@view_options()
@json_option()
def list_(limit: int, as_json: bool) -> None:
    """Print organisations, the newest first.

    \b
    Example:
      qforge organizations list --json
    """
    with (
        open_forge(reads=["organizations", "organization_members"]) as forge,
        forge.connect() as connection,
    ):
        query = groups.select_organizations(forge.author.tenant_id, limit=limit)
        found = rows(connection, query)
    if as_json:
        console.emit_json(found)
    else:
        columns.table(LISTED, found)


@organizations.command()
@click.argument("organization")
@view_options()
@json_option()
def members(organization: str, as_json: bool) -> None:
    """Print the present members of ORGANIZATION: its name, its id, or a prefix of the id.

    \b
    Example:
      qforge organizations members 'Theory group'
    """
    with open_forge(reads=["organizations", "organization_members", "users"]) as forge:
        organization_id = _id_of(forge, organization)
        with forge.connect() as connection:
            query = groups.select_members(forge.author.tenant_id, organization_id)
            found = rows(connection, query)
    if as_json:
        console.emit_json(found)
    else:
        columns.table(MEMBERS, found)


@organizations.command()
@click.argument("name")
@json_option()
def create(name: str, as_json: bool) -> None:
    """Create the organisation NAME, and print its id. No other of the tenant may have the name.

    \b
    Example:
      qforge organizations create 'Theory group'
    """
    with open_forge(writes=True) as forge:
        created = forge.record(OrganizationCreated(name=name)).entity_id
    console.emit_id(created, as_json=as_json)


@organizations.command()
@click.argument("organization")
@click.argument("name")
def rename(organization: str, name: str) -> None:
    """Rename ORGANIZATION to NAME.

    \b
    Example:
      qforge organizations rename 'Theory group' Theory
    """
    with open_forge(writes=True, needs=NEEDED) as forge, _actions(forge) as actions:
        organization_id = _id_of(forge, organization)
        Organizations(actions).rename(organization_id, name=name)
    console.note(f"{organization} is called {name}.")


@organizations.command()
@click.argument("organization")
@click.option("--yes", is_flag=True, help="Do not ask.")
def delete(organization: str, yes: bool) -> None:
    """Delete ORGANIZATION. Its members leave it; what they recorded stays.

    \b
    Example:
      qforge organizations delete Theory --yes
    """
    with open_forge(writes=True, needs=NEEDED) as forge, _actions(forge) as actions:
        organization_id = _id_of(forge, organization)
        if not yes:
            click.confirm(f"Delete the organisation {organization}?", abort=True, err=True)
        Organizations(actions).delete(organization_id)
    console.note(f"{organization} is deleted.")


@organizations.command()
@click.argument("organization")
@click.argument("user")
@_role
def add(organization: str, user: str, role: str) -> None:
    """Add USER, a user name, an email address or an id, to ORGANIZATION.

    \b
    Example:
      qforge organizations add Theory bob
    """
    with open_forge(writes=True, needs=NEEDED) as forge:
        member = OrganizationMemberAdded(
            organization_id=_id_of(forge, organization),
            user_id=user_id_of(forge, user),
            role=MemberRole(role),
        )
        with naming(user):
            forge.record(member)
    console.note(f"{user} is {role} of {organization}.")


@organizations.command()
@click.argument("organization")
@click.argument("user")
@_role
def role(organization: str, user: str, role: str) -> None:
    """Change what USER may do in ORGANIZATION.

    \b
    Example:
      qforge organizations role Theory bob --role admin
    """
    with open_forge(writes=True, needs=NEEDED) as forge, _actions(forge) as actions:
        organization_id, user_id = _id_of(forge, organization), user_id_of(forge, user)
        with naming(user):
            Organizations(actions).change_member_role(
                organization_id=organization_id, user_id=user_id, role=MemberRole(role)
            )
    console.note(f"{user} is {role} of {organization}.")


@organizations.command()
@click.argument("organization")
@click.argument("user")
@click.option("--reason", help="Reason, which is recorded.")
def remove(organization: str, user: str, reason: str | None) -> None:
    """Remove USER from ORGANIZATION.

    \b
    Example:
      qforge organizations remove Theory bob --reason 'left'
    """
    with open_forge(writes=True, needs=NEEDED) as forge, _actions(forge) as actions:
        organization_id, user_id = _id_of(forge, organization), user_id_of(forge, user)
        with naming(user):
            Organizations(actions).remove_member(
                organization_id=organization_id, user_id=user_id, reason=reason
            )
    console.note(f"{user} left {organization}.")


def _actions(forge: Forge) -> Recorder:
    return Recorder(forge.engine, forge.author)


def _id_of(forge: Forge, organization: str) -> UUID:
    with forge.connect() as connection:
        found = find_organization(connection, forge.author.tenant_id, organization)
    its_id: UUID = found["id"]
    return its_id
