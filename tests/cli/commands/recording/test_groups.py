"""`qforge organizations` and `qforge projects`: by name, without ids."""

import json

from tests.conftest import Qforge


def test_an_organisation_is_made_joined_and_deleted_by_names(qforge_here: Qforge) -> None:
    """Its owner is an admin of the tenant, until it is deleted."""
    qforge_here("users", "register", "ada", "--email", "ada@example.org", "--no-password")
    bob = qforge_here(
        *("users", "register", "bob", "--email", "bob@example.org", "--no-password"),
        *("--role", "viewer"),
    ).stdout.strip()
    as_bob = {"QFORGE_USER_ID": bob}

    qforge_here("organizations", "create", "Lab")
    taken = qforge_here("organizations", "create", "Lab", status=1)
    assert "the name 'Lab' is taken by" in taken.stderr
    qforge_here("organizations", "add", "Lab", "bob")
    there = qforge_here("organizations", "add", "Lab", "bob", status=1)
    assert "bob is member already: nothing was recorded" in there.stderr
    nobody = qforge_here("organizations", "remove", "Lab", "ada", status=1)
    assert "ada is not member: nothing was recorded" in nobody.stderr
    qforge_here("organizations", "role", "Lab", "bob@example.org", "--role", "owner")
    qforge_here("organizations", "rename", "Lab", "Theory")
    (member,) = json.loads(qforge_here("organizations", "members", "Theory", "--json").stdout)

    assert (member["user_id"], member["username"], member["role"]) == (bob, "bob", "owner")
    assert json.loads(qforge_here("whoami", "--json", env=as_bob).stdout)["role"] == "admin"
    qforge_here("organizations", "delete", "Theory", "--yes", env=as_bob)
    assert qforge_here("organizations", "list", "--json").stdout.strip() == "[]"
    assert json.loads(qforge_here("whoami", "--json", env=as_bob).stdout)["role"] == "viewer"
    refused = qforge_here("organizations", "add", "Theory", "ada", status=1)
    assert "no organization 'Theory'" in refused.stderr


def test_molecules_join_and_leave_projects_by_names(qforge_here: Qforge) -> None:
    """And are deleted with theirs."""
    molecule = '{"smiles": "C", "charge": 0, "multiplicity": 1, "formula": "CH4", '
    molecule += '"molecular_weight": 16.04, "generation_method": "manual", "name": "methane", '
    molecule += '"toolkit": "hand", "toolkit_version": "1"}'
    qforge_here("record", "molecule_created", "--data", molecule)
    qforge_here("projects", "create", "Malaria", "--target", "PfDHFR")
    qforge_here("projects", "create", "Other")
    qforge_here("projects", "add", "Malaria", "methane")
    qforge_here("projects", "add", "Other", "C")
    assert "is taken by" in qforge_here("projects", "create", "Other", status=1).stderr
    assert "is taken by" in qforge_here("projects", "rename", "Malaria", "Other", status=1).stderr
    qforge_here("projects", "rename", "Other", "Another")

    listed = json.loads(qforge_here("projects", "list", "--json").stdout)

    counts = {each["name"]: each["molecule_count"] for each in listed}
    assert counts == {"Malaria": 0, "Another": 1}
    assert "1 molecule taken out." in qforge_here("projects", "remove", "methane").stderr
    again = qforge_here("projects", "remove", "methane").stderr
    assert "0 molecules taken out.\nIn no project: methane.\n" in again
    qforge_here("projects", "add", "Malaria", "methane")
    assert "There already: C." in qforge_here("projects", "add", "Malaria", "C").stderr
    done = qforge_here("projects", "delete", "Malaria", "--reason", "a trial", "--yes")
    assert "with 1 molecule." in done.stderr
    assert json.loads(qforge_here("molecules", "list", "--json").stdout) == []
