"""`qforge db roles`: the roles that rights are granted to, and their members."""

import click

from quantum_forge.cli.command import Command
from quantum_forge.cli.show import console
from quantum_forge.eventstore.database.engine import open_database
from quantum_forge.eventstore.database.installation.gateways import (
    bypassing,
    gateway_sql,
    set_gateway,
)
from quantum_forge.eventstore.database.installation.roles import (
    ADVISORY_LOCKS,
    LARGE_OBJECTS,
    DatabaseRole,
    create_roles,
    describe_roles,
    restrict_functions,
    roles_sql,
)
from quantum_forge.eventstore.database.settings import load_settings


@click.command(cls=Command)
@click.option("--sql", is_flag=True, help="Print the SQL that creates the roles; do not run it.")
@click.option(
    "--restrict-advisory-locks/--allow-advisory-locks",
    "restrict",
    default=None,
    help=(
        "Allow advisory locks in this database to these roles only, or to everybody again; "
        "requires a superuser."
    ),
)
@click.option(
    "--restrict-large-objects/--allow-large-objects",
    "restrict_files",
    default=None,
    help=(
        "Allow large objects in this database to its owner only, or to everybody again; "
        "requires a superuser."
    ),
)
@click.option(
    "--supabase/--no-supabase",
    default=None,
    help=(
        "Let Supabase or PostgREST read for its users, and append for its programs: makes anon, "
        "authenticated and service_role members of these roles, or ends that."
    ),
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def roles(
    sql: bool,
    restrict: bool | None,
    restrict_files: bool | None,
    supabase: bool | None,
    as_json: bool,
) -> None:
    """Create missing roles, and show all roles with their members.

    A login becomes a member by GRANT, and is bound to a tenant by `qforge db bind`.

    \b
    Example:
      qforge db roles
      qforge db psql -c "CREATE ROLE alice LOGIN IN ROLE qforge_reader"
      qforge db bind alice 6f1d4a52-0d7c-4c38-9a55-0c1f6f9f2f10
      qforge db roles --supabase
    """
    if sql:
        console.emit(roles_sql() + (gateway_sql() if supabase else ""))
        return
    with open_database(load_settings()) as database:
        create_roles(database.engine)
        for functions, wanted in ((ADVISORY_LOCKS, restrict), (LARGE_OBJECTS, restrict_files)):
            if wanted is None:
                continue
            changed = restrict_functions(database.engine, functions, restrict=wanted)
            ours = "these roles and " if functions.roles else ""
            whose = f"{ours}the database's owner" if wanted else "everybody"
            console.note(f"{changed} functions for {functions.what} may now be called by {whose}.")
        if supabase is not None:
            for change in set_gateway(database.engine, grants=supabase):
                console.note(f"{change}.")
        with database.engine.connect() as connection:
            if supabase and (above := bypassing(connection)):
                console.note(
                    f"Row-level security does not hold {' and '.join(above)}: whoever has its key "
                    "reads every tenant."
                )
            found = describe_roles(connection)
    if as_json:
        console.emit_json(found)
        return
    rows = [
        (
            role.name,
            role.purpose,
            ", ".join(_member(role, member) for member in role.members),
        )
        for role in found
    ]
    console.table(["role", "may", "members"], rows, title="Roles")


def _member(role: DatabaseRole, member: str) -> str:
    """A member with the tenant that it is bound to."""
    if member not in role.bound:
        return member
    if member in role.unlimited:
        return f"{member} (bound to {role.bound[member]} without effect: it sees every tenant)"
    return f"{member} (bound to {role.bound[member]})"
