"""`qforge projects`: projects, and the molecules in them."""

from uuid import UUID

import click

from quantum_forge.cli.command import Group
from quantum_forge.cli.parse.options import json_option, limit_option
from quantum_forge.cli.session import open_forge
from quantum_forge.cli.show import columns, console
from quantum_forge.cli.show.columns import Shown
from quantum_forge.cli.show.view import view_options
from quantum_forge.eventstore.actions.projects import delete_project, move_molecule
from quantum_forge.eventstore.base.counted import counted
from quantum_forge.eventstore.recording.recorder import Recorder
from quantum_forge.forge import Forge
from quantum_forge.projections.queries import groups
from quantum_forge.projections.queries.lookup import find_molecule, find_project
from quantum_forge.projections.queries.rows import rows
from quantum_forge.schema.domains.discovery import ProjectCreated, ProjectUpdated

LISTED = (
    Shown("id"),
    Shown("name", long=True),
    Shown("molecule_count", 0, "molecules"),
    Shown("prediction_count", 0, "predictions", rank=2),
    Shown("docking_count", 0, "dockings", rank=2),
    Shown("created_by", label="created by"),
    Shown("disease_target", label="target", long=True, rank=1),
    Shown("created_at", label="created", rank=1),
)
NEEDED = ("projects",)
"""The read models by which a project is found."""


@click.group(cls=Group)
def projects() -> None:
    """Create projects, and put molecules into them.

    \b
    Example:
      qforge projects create Malaria
      qforge projects add Malaria CCO
    """


@projects.command("list")
@limit_option("the newest")
@view_options()
@json_option()
def list_(limit: int, as_json: bool) -> None:
    """Print projects, the newest first, with how much is in each.

    \b
    Example:
      qforge projects list
    """
    with open_forge(reads=["projects", "users"]) as forge, forge.connect() as connection:
        query = groups.select_projects(forge.author.tenant_id, limit=limit)
        found = rows(connection, query)
    if as_json:
        console.emit_json(found)
    else:
        columns.table(LISTED, found)


@projects.command()
@click.argument("name")
@click.option("--description", help="Description.")
@click.option("--target", help="What it is to treat or bind, in words.")
@json_option()
def create(name: str, description: str | None, target: str | None, as_json: bool) -> None:
    """Create the project NAME, and print its id. No other project of the tenant may have the name.

    \b
    Example:
      qforge projects create Malaria --target 'PfDHFR'
    """
    event = ProjectCreated(name=name, description=description, disease_target=target)
    with open_forge(writes=True) as forge:
        created = forge.record(event).entity_id
    console.emit_id(created, as_json=as_json)


@projects.command()
@click.argument("project")
@click.argument("name")
def rename(project: str, name: str) -> None:
    """Rename PROJECT to NAME.

    \b
    Example:
      qforge projects rename Malaria 'Malaria 2'
    """
    with open_forge(writes=True, needs=NEEDED) as forge:
        project_id = _id_of(forge, project)
        forge.record(ProjectUpdated(name=name), of=project_id)
    console.note(f"{project} is called {name}.")


@projects.command()
@click.argument("project")
@click.option("--reason", help="Reason, which is recorded.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def delete(project: str, reason: str | None, yes: bool) -> None:
    """Delete PROJECT, and every molecule, prediction, structure and docking in it.

    \b
    Example:
      qforge projects delete Malaria --reason 'a trial'
    """
    with open_forge(writes=True, needs=NEEDED) as forge, _actions(forge) as recorder:
        project_id = _id_of(forge, project)
        if not yes:
            click.confirm(f"Delete the project {project} and all in it?", abort=True, err=True)
        deleted = delete_project(recorder, project_id, reason=reason)
    console.note(f"{project} is deleted, with {counted(deleted.molecule_count, 'molecule')}.")


@projects.command()
@click.argument("project")
@click.argument("molecules", nargs=-1, required=True)
def add(project: str, molecules: tuple[str, ...]) -> None:
    """Put MOLECULES into PROJECT: ids, names or SMILES. They leave the project that they are in.

    \b
    Example:
      qforge projects add Malaria 7d44a1f0 aspirin
    """
    with open_forge(writes=True, needs=[*NEEDED, "molecules"]) as forge, _actions(forge) as actions:
        there = _stayed(forge, actions, molecules, _id_of(forge, project))
    moved = len(set(molecules)) - len(there)
    console.note(f"{counted(moved, 'molecule')} put into {project}.")
    if there:
        console.note(f"There already: {', '.join(there)}.")


@projects.command()
@click.argument("molecules", nargs=-1, required=True)
def remove(molecules: tuple[str, ...]) -> None:
    """Take MOLECULES out of the project that they are in: ids, names or SMILES.

    \b
    Example:
      qforge projects remove 7d44a1f0
    """
    with open_forge(writes=True, needs=["molecules"]) as forge, _actions(forge) as actions:
        left = _stayed(forge, actions, molecules, None)
    console.note(f"{counted(len(set(molecules)) - len(left), 'molecule')} taken out.")
    if left:
        console.note(f"In no project: {', '.join(left)}.")


def _stayed(
    forge: Forge, actions: Recorder, molecules: tuple[str, ...], project_id: UUID | None
) -> list[str]:
    """Move molecules to a project; None: out of any. Return those that were there already."""
    found = dict(zip(molecules, _molecules(forge, molecules), strict=True))
    return [
        written
        for written, molecule_id in found.items()
        if not move_molecule(actions, molecule_id, project_id=project_id)
    ]


def _actions(forge: Forge) -> Recorder:
    return Recorder(forge.engine, forge.author)


def _id_of(forge: Forge, project: str) -> UUID:
    with forge.connect() as connection:
        its_id: UUID = find_project(connection, forge.author.tenant_id, project)["id"]
    return its_id


def _molecules(forge: Forge, references: tuple[str, ...]) -> list[UUID]:
    """Their ids; all are found before anything is recorded."""
    with forge.connect() as connection:
        return [
            find_molecule(connection, forge.author.tenant_id, reference)["id"]
            for reference in references
        ]
