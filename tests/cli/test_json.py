"""Every command with --json prints JSON, whatever the database holds."""

import json
from pathlib import Path

import click

from tests.cli.test_tree import TREE
from tests.conftest import Qforge

WITH_JSON = {
    name: command
    for name, command in TREE.items()
    if any(parameter.name == "as_json" for parameter in command.params)
}

ARGUMENTS: dict[str, tuple[str, ...]] = {
    "qforge as-of": ("3", "calculations"),
    "qforge calculations show": ("{calculation}",),
    "qforge diff": ("calculations", "--from", "1"),
    "qforge events append": ("--file", "{events}"),
    "qforge events export": ("out.jsonl",),
    "qforge explain": ("calculations", "{calculation}"),
    "qforge import events": ("{events}",),
    "qforge import jobs": ("jobs",),
    "qforge molecules search": ("--similar", "C"),
    "qforge molecules show": ("{molecule}",),
    "qforge rebuild": ("calculations",),
    "qforge notify": ("--once",),
    "qforge organizations create": ("A laboratory",),
    "qforge organizations members": ("A laboratory",),
    "qforge projects create": ("Malaria",),
    "qforge record": ("--list",),
    "qforge search": ("{molecule}",),
    "qforge retract": ("--method", "GFN2-xTB", "--reason", "a test"),
}
"""Of commands that need some."""

ELSEWHERE = {
    "qforge batches show": "tests/cli/commands/queries/test_look.py",
    "qforge dataset diff": "tests/datasets/test_manifest.py",
    "qforge dataset export": "tests/datasets/test_export.py",
    "qforge dataset reproduce": "tests/datasets/test_manifest.py",
    "qforge db backup": "tests/eventstore/archive",
    "qforge db restore": "tests/eventstore/archive",
    "qforge run": "tests/cli/commands/campaigns/test_run.py",
    "qforge server status": "tests/eventstore/server",
    "qforge users key": "tests/cli/commands/recording/test_users.py",
    "qforge users register": "tests/cli/commands/recording/test_users.py",
    "qforge users totp confirm": "tests/cli/commands/recording/test_users.py",
    "qforge users totp enable": "tests/cli/commands/recording/test_users.py",
}
"""Commands that need another server, or what another command wrote, and their tests."""


def needs_arguments(command: click.Command) -> bool:
    """Whether it cannot be called without."""
    return any(parameter.required for parameter in command.params)


def test_every_command_with_json_is_called() -> None:
    """One that is new needs its arguments here, where it has any."""
    needing = {name for name, command in WITH_JSON.items() if needs_arguments(command)}

    assert needing <= ARGUMENTS.keys() | ELSEWHERE.keys()
    assert ARGUMENTS.keys() | ELSEWHERE.keys() <= WITH_JSON.keys()


def test_every_command_prints_json(qforge_here: Qforge, tmp_path: Path) -> None:
    """Of a database with a failed calculation that cannot be repeated; none of them raises."""
    job = tmp_path / "jobs" / "job"
    job.mkdir(parents=True)
    state = {"job_id": "a", "status": "failed", "error_message": "out of time", "smiles": "[H][H]"}
    (job / "metadata.json").write_text(json.dumps(state))
    (job / "input.xyz").write_text("2\nhydrogen\nH 0 0 0\nH 0 0 0.75\n")
    qforge_here("import", "jobs", "jobs")
    (calculation,) = json.loads(qforge_here("calculations", "list", "--json").stdout)
    (tmp_path / "events.jsonl").write_text(qforge_here("events", "list", "--json").stdout)
    known = {
        "{calculation}": calculation["id"],
        "{molecule}": calculation["molecule_id"],
        "{events}": "events.jsonl",
    }

    silent = []
    for name in sorted(WITH_JSON.keys() - ELSEWHERE.keys()):
        arguments = (known.get(word, word) for word in ARGUMENTS.get(name, ()))
        said = qforge_here(*name.split()[1:], *arguments, "--json", status=None)
        for line in [said.stdout] if said.stdout.startswith("[") else said.stdout.splitlines():
            json.loads(line)
        if said.returncode == 2 or not said.stdout.strip():
            silent.append((name, said.stderr))

    assert not silent, "\n".join(f"{name}: {said}" for name, said in silent)
