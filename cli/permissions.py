"""Permissions of commands: the least role of a user who may run each.

Commands that are not named here ask the log for no user: they work with files, or for whoever
owns the server. What a command records is checked once more, event by event.
"""

from collections.abc import Mapping

from quantum_forge.schema.domains.users import Role

LEAST_ROLE: Mapping[str, Role] = {
    # Reading
    "as-of": Role.VIEWER,
    "batches list": Role.VIEWER,
    "batches show": Role.VIEWER,
    "calculations list": Role.VIEWER,
    "calculations show": Role.VIEWER,
    "dataset diff": Role.VIEWER,
    "dataset export": Role.VIEWER,
    "dataset reproduce": Role.VIEWER,
    "dead-letters list": Role.VIEWER,
    "diff": Role.VIEWER,
    "explain": Role.VIEWER,
    "metrics": Role.VIEWER,
    "metrics show": Role.VIEWER,
    "molecules list": Role.VIEWER,
    "molecules search": Role.VIEWER,
    "molecules show": Role.VIEWER,
    "organizations list": Role.VIEWER,
    "organizations members": Role.VIEWER,
    "projects list": Role.VIEWER,
    "retention show": Role.VIEWER,
    "search": Role.VIEWER,
    "status": Role.VIEWER,
    "ui": Role.VIEWER,
    "users list": Role.VIEWER,
    "verify": Role.VIEWER,
    # The log as it is, in which everybody's events are
    "audit": Role.ADMIN,
    "db backup": Role.ADMIN,
    "events export": Role.ADMIN,
    "events list": Role.RESEARCHER,
    # Recording
    "events append": Role.RESEARCHER,
    "import events": Role.ADMIN,
    "import jobs": Role.RESEARCHER,
    "projects add": Role.RESEARCHER,
    "projects create": Role.RESEARCHER,
    "projects delete": Role.RESEARCHER,
    "projects remove": Role.RESEARCHER,
    "projects rename": Role.RESEARCHER,
    "properties compute": Role.RESEARCHER,
    "record": Role.VIEWER,
    "retract": Role.RESEARCHER,
    "retry": Role.RESEARCHER,
    "run": Role.RESEARCHER,
    # Accounts; a viewer may change their own
    "organizations add": Role.ADMIN,
    "organizations create": Role.ADMIN,
    "organizations delete": Role.ADMIN,
    "organizations remove": Role.ADMIN,
    "organizations rename": Role.ADMIN,
    "organizations role": Role.ADMIN,
    "users deactivate": Role.ADMIN,
    "users key": Role.VIEWER,
    "users link": Role.ADMIN,
    "users notifications": Role.VIEWER,
    "users password": Role.VIEWER,
    "users reactivate": Role.ADMIN,
    "users register": Role.ADMIN,
    "users role": Role.ADMIN,
    "users totp confirm": Role.VIEWER,
    "users totp disable": Role.VIEWER,
    "users totp enable": Role.VIEWER,
    "users unlink": Role.ADMIN,
    # The database as a whole
    "db bind": Role.ADMIN,
    "db downgrade": Role.ADMIN,
    "db maintain": Role.ADMIN,
    "db reset": Role.ADMIN,
    "db restore": Role.ADMIN,
    "db unbind": Role.ADMIN,
    "db upgrade": Role.ADMIN,
    "rebuild": Role.ADMIN,
    "serve": Role.ADMIN,
    # Operation
    "dead-letters discard": Role.ADMIN,
    "dead-letters retry": Role.VIEWER,
    "notify": Role.ADMIN,
    "project": Role.VIEWER,
    "retention apply": Role.ADMIN,
    "retention set": Role.ADMIN,
    "spool drain": Role.VIEWER,
    "spool report": Role.RESEARCHER,
}

OF_THE_LOG = frozenset({"audit", "events export", "events list"})
"""Commands for which the database has a role of its own, qforge_auditor."""

CHECKS_ITSELF = frozenset({"audit", "db psql", "whoami"})
"""Commands that ask for a role themselves, or for none."""
