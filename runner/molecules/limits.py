"""Limits on the size of a molecule, checked before a toolkit reads it.

RDKit's reader and writer recurse once for each atom of a chain and each branch: 20,000 of either
overflow a stack of 8 MB. Canonical atom ranks take quadratic time: 2 s for 10,000 atoms. xTB itself
ends well below: its matrices have a row for each orbital, and 10,000 atoms need some 10 GB.
"""

from quantum_forge.runner.errors import InputError

MOST_CHARACTERS = 10_000
"""Characters of a SMILES, with its extension; an atom has at least one character."""

DEEPEST_BRANCH = 1_000
"""Branches of a SMILES that are open at once."""

MOST_ATOMS = 10_000
"""Atoms of a geometry, or of a structure with bonds."""


def refuse_large_smiles(smiles: str) -> None:
    """Raise InputError for a SMILES that is too long or too deeply nested."""
    if len(smiles) > MOST_CHARACTERS:
        raise _too_large(
            f"the SMILES has {len(smiles):,} characters, more than the limit of {MOST_CHARACTERS:,}"
        )
    depth = 0
    for character in smiles if smiles.count("(") > DEEPEST_BRANCH else "":
        depth += (character == "(") - (character == ")")
        if depth > DEEPEST_BRANCH:
            raise _too_large(
                f"the SMILES has more than {DEEPEST_BRANCH:,} branches inside each other, which "
                "is the limit"
            )


def refuse_many_atoms(count: int, what: str = "the geometry") -> None:
    """Raise InputError for more atoms than xTB can compute and RDKit can read."""
    if count > MOST_ATOMS:
        raise _too_large(f"{what} has {count:,} atoms, more than the limit of {MOST_ATOMS:,}")


def _too_large(reason: str) -> InputError:
    return InputError(reason, code="MOLECULE_TOO_LARGE")
