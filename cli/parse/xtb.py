"""Methods and solvents as they are written on the command line."""

import click
from click.shell_completion import CompletionItem

from quantum_forge.runner.engines.methods import METHODS, method_named
from quantum_forge.runner.engines.solvents import SOLVENTS, is_gas, solvent_named


class _Method(click.Choice[str]):
    """The type of an option that takes a method by any of its spellings: GFN2-xTB, gfn2, 2."""

    def convert(
        self,
        value: object,
        param: click.Parameter | None,  # noqa: ARG002  # as click calls it
        ctx: click.Context | None,  # noqa: ARG002
    ) -> str:
        """Return the method's one name; raise InputError for an unknown one."""
        return method_named(str(value))


class _Solvent(click.ParamType[str | None]):
    """The type of an option that takes a solvent by any of its names; `gas` is None."""

    name = "solvent"

    def convert(
        self,
        value: object,
        param: click.Parameter | None,  # noqa: ARG002  # as click calls it
        ctx: click.Context | None,  # noqa: ARG002
    ) -> str | None:
        """Return the solvent's one name; raise InputError for an unknown one."""
        return None if is_gas(str(value)) else solvent_named(str(value))

    def shell_complete(
        self,
        ctx: click.Context,  # noqa: ARG002
        param: click.Parameter,  # noqa: ARG002
        incomplete: str,
    ) -> list[CompletionItem]:
        """Return the solvents that begin so."""
        return [CompletionItem(each) for each in SOLVENTS if each.startswith(incomplete.lower())]


METHOD = _Method(METHODS)
SOLVENT = _Solvent()
