"""Preferences of users for methods and solvation: what they stand for, and which can be used."""

import re

from quantum_forge.eventstore.base.errors import EventRefused
from quantum_forge.runner.engines.methods import method_named
from quantum_forge.runner.engines.solvents import is_gas, solvent_named
from quantum_forge.runner.errors import InputError
from quantum_forge.schema.domains.users import UserPreferencesChanged
from quantum_forge.schema.language.event import Event

_MODEL = re.compile(r"ALPB\((.*)\)", re.IGNORECASE)
"""A solvation as calculations store it; a preference may also name the solvent only."""


def preferred_method(written: str) -> str:
    """The method that a preference stands for.

    Raises:
        InputError: for one that no engine runs.
    """
    return method_named(written)


def preferred_solvent(written: str) -> str:
    """The solvent that a preference stands for; the empty text is the gas phase.

    Raises:
        InputError: for one without parameters.
    """
    model = _MODEL.fullmatch(written.strip())
    name = model[1] if model else written
    return "" if is_gas(name) else solvent_named(name)


def refuse_unusable(event: Event) -> None:
    """Refuse preferences of a method or solvent that there is not, before they are recorded.

    Raises:
        EventRefused: naming the field.
    """
    if not isinstance(event, UserPreferencesChanged):
        return
    readers = {"default_method": preferred_method, "default_solvation": preferred_solvent}
    for name, read in readers.items():
        written = getattr(event, name)
        if isinstance(written, str) and written:
            try:
                read(written)
            except InputError as error:
                raise EventRefused(event.event_type, f"`{name}`: {error}") from error
