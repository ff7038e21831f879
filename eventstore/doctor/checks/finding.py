"""A finding: what a check saw, how bad it is, and what to do about it."""

import shlex
from collections.abc import Callable
from enum import StrEnum

import msgspec
from sqlalchemy import Connection


class Level(StrEnum):
    """Severity of a finding. A problem breaks a promise, or will; a warning does not yet."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


class Finding(msgspec.Struct, frozen=True):
    """Finding of one check; `commands` correct the fault, to be run in their order."""

    check: str
    level: Level
    found: str
    remedy: str = ""
    commands: tuple[str, ...] = ()


Check = Callable[[Connection], Finding]
"""Looks at one thing, in a transaction of its own, and changes nothing."""


def ok(check: str, found: str) -> Finding:
    """All is as it should be."""
    return Finding(check, Level.OK, found)


def warning(check: str, found: str, remedy: str = "", *commands: str) -> Finding:
    """It works, but not as well as it should, or not for ever."""
    return Finding(check, Level.WARNING, found, remedy, commands)


def problem(check: str, found: str, remedy: str = "", *commands: str) -> Finding:
    """A promise is broken."""
    return Finding(check, Level.PROBLEM, found, remedy, commands)


def psql(sql: str) -> str:
    """The command that runs a statement."""
    return f"qforge db psql -c {shlex.quote(sql)}"
