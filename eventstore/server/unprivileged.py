"""User that runs the embedded PostgreSQL, which refuses to run as root."""

import os
import pwd
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from quantum_forge.eventstore.base.errors import EmbeddedServerError
from quantum_forge.eventstore.server import user_namespace

SYSTEM_USERS = ("postgres", "nobody")
"""Whom root becomes where the kernel refuses user namespaces, in order of preference."""


class Identity(msgspec.Struct, frozen=True):
    """How to run a program: behind `prefix`, and as `user` and `group` unless they are None."""

    prefix: tuple[str, ...] = ()
    user: int | None = None
    group: int | None = None

    def run(
        self, command: Sequence[str | Path], **options: Any
    ) -> subprocess.CompletedProcess[str]:
        """Run the command to its end, with its output captured as text."""
        if self.user is not None:
            options.update(user=self.user, group=self.group, extra_groups=())
        return subprocess.run(
            [*self.prefix, *map(str, command)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            **options,
        )


def identity_for(directory: Path, postgres: Path) -> Identity:
    """Return as whom `postgres` can run on this directory, which exists and belongs to its user.

    An ordinary user runs it as itself. Root runs it as the directory's owner if that is another
    user, else as root in a user namespace where root has another number, else as a system user, to
    whom it gives the directory.
    """
    if os.geteuid() != 0:
        return Identity()
    owner = directory.stat()
    if owner.st_uid != 0:
        return _checked(Identity(user=owner.st_uid, group=owner.st_gid), directory, postgres)
    mapped = _mapped()
    if mapped is not None:
        return _checked(mapped, directory, postgres)
    return _as_system_user(directory, postgres)


def user_of(directory: Path) -> str | None:
    """Return the name of the user whose rights to files a server of this directory has.

    It is root where root runs it in a user namespace: its number there is another, but the files
    that it reads and writes are those of root.
    """
    try:
        return pwd.getpwuid(directory.stat().st_uid).pw_name
    except (KeyError, OSError):
        return None


def _mapped() -> Identity | None:
    """Return root under another number, or None where the kernel does not allow it."""
    # initdb looks its own number up, so it must be that of a user who exists.
    entry = next((entry for entry in pwd.getpwall() if entry.pw_uid != 0), None)
    if entry is None or not sys.executable:
        return None
    identity = Identity(
        prefix=(
            sys.executable,
            "-I",
            "-S",
            str(Path(user_namespace.__file__).absolute()),
            str(entry.pw_uid),
            str(entry.pw_gid),
        )
    )
    refused = identity.run(["/bin/sh", "-c", ":"]).returncode == user_namespace.REFUSED
    return None if refused else identity


def _as_system_user(directory: Path, postgres: Path) -> Identity:
    for name in SYSTEM_USERS:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        identity = Identity(user=entry.pw_uid, group=entry.pw_gid)
        _checked(identity, directory.parent, postgres, writes=False)
        for path in (directory, *directory.iterdir()):
            os.chown(path, entry.pw_uid, entry.pw_gid, follow_symlinks=False)
        return _checked(identity, directory, postgres)
    raise EmbeddedServerError(
        "cannot run as root here", "run qforge as an ordinary user, or set DATABASE_URL"
    )


def _checked(
    identity: Identity, directory: Path, postgres: Path, *, writes: bool = True
) -> Identity:
    """Return the identity if it reaches both the directory and the program."""
    access = "-w" if writes else "-x"
    probe = f'test -x "$1" && test -x "$0" && test {access} "$0"'
    if identity.run(["/bin/sh", "-c", probe, directory, postgres], cwd="/").returncode != 0:
        raise EmbeddedServerError(
            f"does not run as root, and without root's rights {directory} or {postgres} is not "
            "accessible",
            "set QFORGE_HOME to a place such as /var/lib/quantum-forge (and install quantum-forge "
            "where everyone can read it), or run qforge as an ordinary user, or set DATABASE_URL",
        )
    return identity
