"""The `qforge` command: its subcommands, and the one place where errors become exit statuses."""

import contextlib
import errno
import gc
import os
import signal
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import NoReturn

import click

from quantum_forge.cli.lazy import Lazy, LazyGroup
from quantum_forge.cli.show import console
from quantum_forge.eventstore.base.errors import QuantumForgeError
from quantum_forge.eventstore.base.stop_signals import (
    discard_output,
    leave_closed_terminal,
    stopping_signals,
)

COMMANDS = {
    "run": Lazy(
        "quantum_forge.cli.commands.campaigns.run:run", "Run xTB on the molecules of files."
    ),
    "retry": Lazy(
        "quantum_forge.cli.commands.campaigns.retry:retry",
        "Try failed calculations again, with exponential backoff, up to a limit.",
    ),
    "import": Lazy(
        "quantum_forge.cli.commands.imports.group:import_", "Import results and events from files."
    ),
    "retract": Lazy(
        "quantum_forge.cli.commands.recording.retract:retract",
        "Invalidate every completed result that the options select, as one retraction.",
    ),
    "status": Lazy(
        "quantum_forge.cli.commands.operation.status:status",
        "Show the log, the projections and their lag.",
    ),
    "search": Lazy(
        "quantum_forge.cli.commands.queries.search:search",
        "Find whatever has some WORDS in a name, description, message or log.",
    ),
    "molecules": Lazy(
        "quantum_forge.cli.commands.queries.molecules:molecules",
        "List, find and show molecules.",
    ),
    "properties": Lazy(
        "quantum_forge.cli.commands.campaigns.properties:properties",
        "Compute properties of molecules.",
    ),
    "batches": Lazy("quantum_forge.cli.commands.queries.batches:batches", "List and show batches."),
    "calculations": Lazy(
        "quantum_forge.cli.commands.queries.calculations:calculations",
        "Find and show calculations.",
    ),
    "events": Lazy(
        "quantum_forge.cli.commands.events.list:events", "Read the log, export it, or append to it."
    ),
    "record": Lazy(
        "quantum_forge.cli.commands.recording.record:record",
        "Record EVENT, if the rules of its entity allow it.",
    ),
    "project": Lazy(
        "quantum_forge.cli.commands.projections.project:project",
        "Bring the projections up to date.",
    ),
    "dead-letters": Lazy(
        "quantum_forge.cli.commands.projections.dead_letters:dead_letters",
        "List events that could not be folded, and retry or discard them.",
    ),
    "rebuild": Lazy(
        "quantum_forge.cli.commands.projections.rebuild:rebuild",
        "Rebuild projections from the log.",
    ),
    "verify": Lazy(
        "quantum_forge.cli.commands.projections.verify:verify",
        "Prove that read models agree with the log.",
    ),
    "as-of": Lazy(
        "quantum_forge.cli.commands.projections.as_of:as_of",
        "Print the rows of a read model as they were at an earlier time.",
    ),
    "diff": Lazy(
        "quantum_forge.cli.commands.projections.diff:diff",
        "Print the rows of a read model that differ between two times.",
    ),
    "explain": Lazy(
        "quantum_forge.cli.commands.projections.explain:explain",
        "Print the events behind a row, and which of them gave each column its value.",
    ),
    "dataset": Lazy(
        "quantum_forge.cli.commands.queries.dataset:dataset",
        "Export, reproduce and compare training sets.",
    ),
    "metrics": Lazy(
        "quantum_forge.cli.commands.queries.metrics:metrics",
        "Print gauges for Prometheus, or metrics of calculations and services over time.",
    ),
    "audit": Lazy(
        "quantum_forge.cli.commands.queries.audit:audit",
        "Print the audit trail: who did what and when, with the values before.",
    ),
    "users": Lazy(
        "quantum_forge.cli.commands.recording.users:users",
        "Register users, give them roles, passwords and API keys, and link logins to them.",
    ),
    "organizations": Lazy(
        "quantum_forge.cli.commands.recording.organizations:organizations",
        "Create organisations, and say who belongs to them.",
    ),
    "projects": Lazy(
        "quantum_forge.cli.commands.recording.projects:projects",
        "Create projects, and put molecules into them.",
    ),
    "whoami": Lazy(
        "quantum_forge.cli.commands.recording.whoami:whoami",
        "Show as whom you act, and what you may do.",
    ),
    "retention": Lazy(
        "quantum_forge.cli.commands.projections.retention:retention",
        "Show and apply how long tables keep their rows.",
    ),
    "spool": Lazy(
        "quantum_forge.cli.commands.recording.spool:spool",
        "Show and drain the spool: events that wait for the database.",
    ),
    "doctor": Lazy(
        "quantum_forge.cli.commands.operation.doctor:doctor",
        "Check settings, server, schema and log, and print remedies.",
    ),
    "serve": Lazy(
        "quantum_forge.cli.commands.operation.serve:serve",
        "Answer HTTP requests until Ctrl-C or SIGTERM.",
    ),
    "ui": Lazy(
        "quantum_forge.cli.commands.operation.ui:ui",
        "Open the dashboard in your browser, until Ctrl-C.",
    ),
    "notify": Lazy(
        "quantum_forge.cli.commands.operation.notify:notify",
        "Tell users by mail and webhook what they asked for: `qforge users notifications`.",
    ),
    "server": Lazy(
        "quantum_forge.cli.commands.operation.server:server",
        "Show or stop the embedded PostgreSQL.",
    ),
    "completion": Lazy(
        "quantum_forge.cli.commands.operation.completion:completion",
        "Print the script that completes commands and options in a SHELL: bash, zsh or fish.",
    ),
    "db": Lazy(
        "quantum_forge.cli.commands.db.group:db", "Migrate, inspect and reset the database."
    ),
}

_UNWRITABLE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EBADF, errno.EFBIG})

_WITHOUT_DOMAINS = frozenset({"server", "completion"})
"""Commands that work although an own domain is broken."""

_ADVICE = {
    errno.EACCES: "run qforge as the owner, or give another place",
    errno.EPERM: "run qforge as the owner, or give another place",
    errno.EROFS: "the file system is read-only: give another place",
    errno.ENOENT: "check the name",
    errno.ENOTDIR: "a part of the path is a file: check the name",
    errno.EISDIR: "it is a directory: give a file",
    errno.ENAMETOOLONG: "give a shorter name",
    errno.EMFILE: "allow more open files: ulimit -n 1024",
    errno.ENFILE: "allow more open files in the system",
    errno.ENOSPC: "free some space",
    errno.EAGAIN: "stop other programs, or raise the limit: ulimit -u",
}
"""What to do about an error of the operating system."""

TRACEBACK = "QFORGE_TRACEBACK"
"""Variable with which an unforeseen error is printed with its traceback."""

UNFORESEEN = "unforeseen error"
FAULT = 70
"""EX_SOFTWARE of sysexits.h: an error that no part of the program has foreseen."""

INTERRUPTED = 128 + signal.SIGINT
PASSING = 2
"""As when the database cannot be reached."""


class ReaderLeft(Exception):
    """The reader of the output has closed it. No OSError, which click turns into exit status 1."""


class Root(LazyGroup):
    """The command of all commands."""

    def invoke(self, ctx: click.Context) -> object:
        """Run a command; a closed pipe is raised as `ReaderLeft`."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError as error:
            raise ReaderLeft from error

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find a command; own domains are loaded before, whose names its options may have."""
        if args[0] not in _WITHOUT_DOMAINS:
            try:
                _load_domains()
            except QuantumForgeError as error:
                if args[0] != "doctor":
                    raise
                console.error(str(error))
        return super().resolve_command(ctx, args)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command, and exempt what is imported by then from garbage collection."""
        command = super().get_command(ctx, cmd_name)
        if not gc.isenabled():
            gc.freeze()
            gc.enable()
        return command


def _load_domains() -> None:
    """Load own domains before options are read, which may name their events and tables."""
    # Imported here, for help and completion need none of it.
    from quantum_forge.eventstore.database.settings import load_settings

    try:
        names = load_settings().domains
    except QuantumForgeError:
        return  # the command that needs the settings says what is wrong with them
    from quantum_forge.eventstore.database.domains import load_domains

    load_domains(names)


@click.group(
    cls=Root,
    table=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(package_name="quantum-forge", prog_name="qforge")
def qforge() -> None:
    """Run xTB calculations and record every step as an event in PostgreSQL.

    Without settings, an embedded PostgreSQL is started in your data directory, and stops a few
    minutes after the last command. DATABASE_URL names another database.

    \b
    Example:
      qforge run molecules.smi
    """


def _terminated(number: int, _: FrameType | None) -> NoReturn:
    if number == signal.SIGHUP:
        leave_closed_terminal()
    sys.exit(128 + number)


def _open_missing_streams() -> None:
    """Replace a stream that was closed by whoever started this process: output goes nowhere."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            nowhere = Path(os.devnull).open(mode, encoding="utf-8")  # noqa: SIM115  # to the end
            setattr(sys, name, nowhere)


def _require_text(arguments: Sequence[str]) -> None:
    """Refuse bytes that are not text, which neither a terminal, JSON nor PostgreSQL takes.

    Raises:
        click.UsageError
    """
    for argument in arguments:
        try:
            argument.encode()
        except UnicodeEncodeError:
            raise click.UsageError(
                f"the argument {argument[:80]!a} is not UTF-8; give it in UTF-8"
            ) from None


def _unwritten(error: OSError) -> int:
    """Say that the output could not be written, and see that Python's last flush does not."""
    discard_output(1)
    with contextlib.suppress(OSError):
        console.error(f"the output cannot be written: {error.strerror}")
    return 2


def _explained(error: Exception) -> int:
    """Say in one line what no part of the program has translated; return the exit status."""
    # Imported here, for most commands succeed, and some need no database.
    from quantum_forge.eventstore.database.availability.outage import passes, reason_of

    if passes(error):
        console.error(f"the database refused the command for now: {reason_of(error)}; run it again")
        return PASSING
    if isinstance(error, OSError) and error.errno is not None:
        what = f"{error.filename}: " if error.filename is not None else ""
        console.error(f"{what}{error.strerror}; {_ADVICE.get(error.errno, 'correct that')}")
        return 2
    if isinstance(error, MemoryError):
        console.error("there is not enough memory: stop other programs, or use fewer --jobs")
        return 2
    if TRACEBACK in os.environ:
        traceback.print_exception(error)
    console.error(
        f"{UNFORESEEN}: {type(error).__name__}: {reason_of(error)}; this is a fault of qforge. "
        f"Report it with what the same command prints with {TRACEBACK}=1"
    )
    return FAULT


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit: 2 for what the user can correct, 128 + N after signal N."""
    if arguments is None:
        # The process is this command: to look for garbage among modules takes a fifth of its start.
        gc.disable()
    # So that what a `with` holds is given back, the embedded server among it.
    for number in stopping_signals():
        if number != signal.SIGINT:
            signal.signal(number, _terminated)
    _open_missing_streams()
    try:
        _require_text(sys.argv[1:] if arguments is None else arguments)
        status = qforge.main(arguments, prog_name="qforge", standalone_mode=False)
        sys.stdout.flush()
    except QuantumForgeError as error:
        console.error(str(error))
        sys.exit(error.exit_status)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(INTERRUPTED)
    except (ReaderLeft, BrokenPipeError):
        # The reader, such as `head`, has closed the pipe; Python's last flush must not complain.
        discard_output(sys.stdout.fileno())
        sys.exit(0)
    except Exception as error:
        if isinstance(error, OSError) and error.filename is None and error.errno in _UNWRITABLE:
            sys.exit(_unwritten(error))
        sys.exit(_explained(error))
    sys.exit(status if isinstance(status, int) else 0)


if __name__ == "__main__":
    main()
