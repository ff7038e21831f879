"""Preferences of the acting user that a run heeds: method and solvation."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from quantum_forge.cli.show import console
from quantum_forge.eventstore.base.errors import QuantumForgeError
from quantum_forge.runner.engines.preferences import preferred_method, preferred_solvent
from quantum_forge.runner.errors import InputError


class UnusablePreference(QuantumForgeError):
    """A preference of the acting user is not a method or solvent that there is."""

    exit_status = 2

    def __init__(self, name: str, option: str, reason: str) -> None:
        self.name = name
        self.reason = reason
        super().__init__(
            f"your preference {name} cannot be used: {reason}; change it, or give {option}"
        )


class Preferred(NamedTuple):
    """What a user wants by default; None: nothing is preferred. solvent: "" is the gas phase."""

    method: str | None = None
    solvent: str | None = None


def preferred(row: Mapping[str, Any] | None, *, method: bool, solvent: bool) -> Preferred:
    """Return the preferences of a user, as far as they are asked for.

    Args:
        row: the row of `user_preferences`; None: the user has none.
        method: whether that is asked for.
        solvent: whether that is asked for.

    Raises:
        UnusablePreference: for a method or solvent that there is not.
    """
    if row is None:
        return Preferred()
    its_method, its_solvent = row["default_method"], row["default_solvation"]
    return Preferred(
        method=_method(its_method) if method and its_method else None,
        solvent=_solvent(its_solvent) if solvent and its_solvent else None,
    )


def note_preferences(wanted: Preferred) -> None:
    """Say in one line on stderr which settings come from the user's preferences."""
    said = []
    if wanted.method is not None:
        said.append(f"method {wanted.method}")
    if wanted.solvent is not None:
        said.append(f"solvent {wanted.solvent}" if wanted.solvent else "gas phase")
    if said:
        console.note(f"By your preferences: {', '.join(said)}.")


def _method(written: str) -> str:
    try:
        return preferred_method(written)
    except InputError as error:
        raise UnusablePreference("default_method", "--method", str(error)) from error


def _solvent(written: str) -> str:
    try:
        return preferred_solvent(written)
    except InputError as error:
        raise UnusablePreference("default_solvation", "--solvent", str(error)) from error
