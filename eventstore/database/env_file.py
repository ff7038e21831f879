"""The variables of a .env file, which must be this user's own."""

import io
import os
import shlex
import stat
from pathlib import Path

from dotenv.parser import Original, parse_stream

from quantum_forge.eventstore.base.errors import DotenvSyntaxError, InvalidSetting

_DOTENV_LIMIT = 2**20
"""Bytes."""


def read_dotenv(path: Path) -> dict[str, str]:
    """Return the variables of a .env file, read by python-dotenv; none if there is no such file.

    `$NAME` and `${NAME}` stay as they are, for a password may contain them.

    Raises:
        DotenvSyntaxError: for a line without a value, or with a quote that is not closed.
        InvalidSetting: when the file cannot be read, or others could have written it: it decides
            to which server passwords are sent.
    """
    try:
        text = _own_text(path)
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidSetting(str(path), f"cannot be read ({error})") from error
    variables = {}
    # dotenv_values() logs what it cannot parse and goes on without it.
    for binding in parse_stream(io.StringIO(text)):
        if binding.key is not None and binding.value is not None:
            variables[binding.key] = binding.value
        elif binding.error or binding.key is not None:
            problem = "expected NAME=value, with every quote closed"
            raise DotenvSyntaxError(path, _line_of(binding.original), problem)
    return variables


def _own_text(path: Path) -> str:
    """Return the text of a file that belongs to this user or to root, and is theirs alone to write.

    A group may write that has the number of the user: it is the user's own.
    """
    # Without blocking: a named pipe would wait for somebody to write into it.
    with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as file:
        facts = os.fstat(file.fileno())
        if not stat.S_ISREG(facts.st_mode):
            raise InvalidSetting(str(path), "is not a regular file; move it away")
        if facts.st_size > _DOTENV_LIMIT:
            raise InvalidSetting(str(path), f"is larger than {_DOTENV_LIMIT // 2**20} MB")
        if facts.st_uid not in (os.geteuid(), 0):
            raise InvalidSetting(
                str(path),
                f"belongs to another user ({facts.st_uid}), who could choose where your passwords "
                "are sent: work in another directory, or make the file yours",
            )
        shared = stat.S_IWOTH | (0 if facts.st_gid == facts.st_uid else stat.S_IWGRP)
        if facts.st_mode & shared:
            raise InvalidSetting(
                str(path),
                "can be written by other users, who could choose where your passwords are sent: "
                f"chmod go-w {shlex.quote(str(path))}",
            )
        return file.read(_DOTENV_LIMIT).decode("utf-8-sig")


def _line_of(original: Original) -> int:
    """Return the number of the line; python-dotenv counts from the blank lines before it."""
    blank = len(original.string) - len(original.string.lstrip())
    return original.line + original.string[:blank].count("\n")
