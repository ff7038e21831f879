"""Tables on terminals of 80, 100 and 160 columns: whatever is listed can be read."""

import re
from collections.abc import Iterator
from uuid import UUID, uuid4

import click
import pytest
from rich.cells import cell_len
from sqlalchemy import Engine, text

from quantum_forge.cli.main import qforge as root
from quantum_forge.cli.show import console, event_table
from quantum_forge.cli.show.lines import Lines
from quantum_forge.eventstore.database.settings import DEFAULT_TENANT_ID
from quantum_forge.projections.project.projector import catch_up
from quantum_forge.projections.registry import PROJECTIONS
from quantum_forge.schema.domains.batches import BatchStarted, batch_id
from quantum_forge.schema.domains.users import Role, UserRegistered, UserUpdated
from tests.conftest import Qforge
from tests.support.chemical_history import (
    NOON,
    completed,
    created,
    failed,
    happened,
    record,
    started,
)

LONG = "CC(C)(C)OC(=O)N1CCC(CC1)C2=CC=C(C=C2)C3=NN(C4=C3C(=NC=N4)N)C5CCCCC5CCCCCCCCCC"
BATCH = batch_id(DEFAULT_TENANT_ID, "分子の長い名前-with-a-long-tail")
CALCULATION = UUID("aaaa1111-0000-4000-8000-000000000001")
ADMIN = UUID("aaaa2222-0000-4000-8000-000000000001")
WIDTHS = (80, 100, 160)

LISTING = {
    ("calculations", "list"): (),
    ("calculations", "show"): (str(CALCULATION),),
    ("molecules", "list"): (),
    ("molecules", "show"): ("O",),
    ("molecules", "search"): ("--substructure", "O"),
    ("batches", "list"): (),
    ("batches", "show"): (str(BATCH),),
    ("metrics", "show"): ("--by", "method"),
    ("users", "list"): (),
    ("organizations", "list"): (),
    ("organizations", "members"): ("Theory",),
    ("projects", "list"): (),
    ("audit",): (),
    ("events", "list"): (),
    ("as-of",): ("0h", "calculations"),
    ("diff",): ("calculations", "--from", "1"),
    ("retention", "show"): (),
    ("retention", "apply"): ("--dry-run",),
    ("retry",): ("--dry-run",),
    ("dead-letters", "list"): (),
    ("dataset", "diff"): ("before.parquet", "after.parquet"),
}
"""Arguments of each command that lists; a new one with --wide must be added."""

COUNTING = {
    ("search",),
    ("run",),
    ("verify",),
    ("properties", "compute"),
    ("dataset", "export"),
    ("import", "jobs"),
}
"""Commands with a --limit that print counts, or groups of what was found."""


def commands(group: click.Group, *before: str) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Every command, with its words."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from commands(command, *before, name)
        else:
            yield (*before, name), command


def test_every_command_that_lists_is_asked_for_columns() -> None:
    """--wide and --columns belong to whatever has the name `list` or limits what it prints."""
    found = {words: {each.name for each in one.params} for words, one in commands(root)}
    with_view = {words for words, names in found.items() if "wide" in names}
    limited = {words for words, names in found.items() if {"limit", "as_json"} <= names}
    listing = {words for words in found if words[-1] == "list"} | limited

    assert with_view == set(LISTING)
    assert listing - COUNTING <= with_view
    several = {words for words in with_view if "columns" not in found[words]}
    assert several == {(one, "show") for one in ("calculations", "molecules", "batches")}


@pytest.fixture
def history(engine: Engine) -> None:
    """Long names, long SMILES, a failure, wide characters, and a dead letter."""
    registered = UserRegistered(
        email="ada.lovelace@analytical-engine.example.org", username="ada", role=Role.ADMIN
    )
    other = uuid4()
    record(
        engine,
        happened(registered, ADMIN, user_id=None),
        happened(
            UserUpdated(full_name="Augusta Ada King, Countess of Lovelace " * 2),
            ADMIN,
            user_id=ADMIN,
        ),
        happened(
            BatchStarted(name="分子の長い名前-with-a-long-tail", parameters={}, total_count=1),
            BATCH,
        ),
        created("O"),
        created(LONG),
        started(CALCULATION, "O", batch_id=BATCH),
        completed(CALCULATION, "O", batch_id=BATCH),
        started(other, LONG, method="GFN1-xTB"),
        failed(other, LONG),
    )
    catch_up(engine, PROJECTIONS.values())
    with engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO projection_dead_letters (projection, copy, position, tenant_id,"
                " event_type, reason, parked_at, retries)"
                " SELECT 'calculations', 'live', id, tenant_id, event_type,"
                " repeat('a reason ', 40), now(), 0 FROM event_logs"
                " WHERE event_type = 'batch_started'"
            )
        )


@pytest.mark.usefixtures("history")
@pytest.mark.parametrize("view", [(), ("--wide",)])
def test_no_line_is_longer_than_the_terminal(
    qforge_here: Qforge, monkeypatch: pytest.MonkeyPatch, view: tuple[str, ...]
) -> None:
    """Every header is whole, no column is without width, and what is not shown is named."""
    qforge_here("dataset", "export", "before", "--as-of", "1")
    qforge_here("dataset", "export", "after")
    for group, name in (("organizations", "Theory"), ("projects", "Malaria")):
        qforge_here(group, "create", name, env={"QFORGE_USER_ID": str(ADMIN)})
    monkeypatch.setattr(console, "is_terminal", lambda _=None: True)
    for words, arguments in LISTING.items():
        for width in WIDTHS:
            done = qforge_here(
                *words, *arguments, *view, env={"COLUMNS": str(width), "QFORGE_USER_ID": str(ADMIN)}
            )
            lines = done.stdout.splitlines()
            assert lines, (words, done.stderr)
            assert max(map(cell_len, lines)) <= width, (words, width, done.stdout)
            for line in lines:
                if line.startswith("┃"):
                    headers = [header.strip() for header in line.strip("┃").split("┃")]
                    assert all(re.match(r"\S", header) for header in headers), (words, headers)
            assert not view or "Not shown" not in done.stderr
            assert "┃" not in "".join(lines) or not re.search(r"┃\n┃", done.stdout), words


@pytest.mark.usefixtures("history")
def test_a_row_is_viewed_in_few_lines(qforge_here: Qforge, monkeypatch: pytest.MonkeyPatch) -> None:
    """Values with their units; what each column means where there is room, or by --wide."""
    show = ("calculations", "show", str(CALCULATION))
    monkeypatch.setattr(console, "is_terminal", lambda _=None: True)

    narrow = qforge_here(*show, env={"COLUMNS": "80"})
    assert re.search(r"│ energy +│ -5\.07 Eh +│\n", narrow.stdout)
    assert "Total energy" not in narrow.stdout
    assert narrow.stderr.count("--wide shows it") == 1
    for seen in (
        qforge_here(*show, env={"COLUMNS": "160"}),
        qforge_here(*show, "--wide", env={"COLUMNS": "80"}),
    ):
        assert "Total energy" in seen.stdout
        assert "Not shown: what" not in seen.stderr


@pytest.mark.usefixtures("history")
def test_the_columns_of_a_narrow_terminal_are_the_most_important(
    qforge_here: Qforge, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is left out is said; --columns chooses, by either name, in a pipe too."""
    piped = qforge_here("calculations", "list", "--columns", "gap/eV,id").stdout.splitlines()
    assert piped[0].split("\t") == ["gap", "id"]
    wrong = qforge_here("calculations", "list", "--columns", "enregy", status=2)
    assert "did you mean energy?" in wrong.stderr
    qforge_here("users", "list", "--wide", "--columns", "id", status=2)

    monkeypatch.setattr(console, "is_terminal", lambda _=None: True)
    narrow = qforge_here("as-of", "0h", "calculations", env={"COLUMNS": "80"})
    assert all(name in narrow.stdout for name in ("id", "status", "energy/Eh", "gap/eV"))
    assert "xyz_sha256" in narrow.stderr
    audit = qforge_here("audit", env={"COLUMNS": "80", "QFORGE_USER_ID": str(ADMIN)}).stdout
    assert "before → after" in audit
    assert "user_register" in audit
    events = qforge_here("events", "list", env={"COLUMNS": "80"}).stdout
    assert "calculation_completed" in events
    by = qforge_here("metrics", "show", "--by", "method", env={"COLUMNS": "80"}).stdout
    assert "GFN2-xTB" in by


@pytest.mark.parametrize("width", WIDTHS)
def test_lines_that_follow_the_log_are_as_long_as_the_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], width: int
) -> None:
    """What is printed before the next row is known keeps its columns; the last one is cut."""
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setattr(console, "is_terminal", lambda _=None: True)
    row = {
        "position": 123456,
        "occurred_at": NOON,
        "event_type": "calculation_retry_scheduled",
        "entity_id": CALCULATION,
        "data": "分子 " * 200,
    }

    lines = Lines(event_table.LISTED, event_table.WIDTHS)
    lines.header()
    lines.row(row)

    header, line = capsys.readouterr().out.splitlines()
    assert cell_len(header) <= width
    assert width - 2 <= cell_len(line) <= width
    assert line.endswith("…")
    assert header.index("event_type") == line.index("calculation_retry_scheduled")
    assert (str(CALCULATION) in line) is ("entity_id" in header) is (width > 120)
