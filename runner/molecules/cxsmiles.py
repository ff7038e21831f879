"""CXSMILES: a SMILES with an extension between bars, as in `CC |^1:0|`."""

import re

from rdkit import Chem

from quantum_forge.runner.errors import InputError

# Features that change atoms or electrons: radicals, link nodes, polymers and variable attachment.
_CHANGES_MOLECULE = re.compile(r"(?:^|,)(?:\^\d|LN:|RG:|LOG|Sg|m:|C:|H:)")


def read_cxsmiles(smiles: str) -> Chem.Mol:
    """Return the molecule of a SMILES with or without an extension.

    An extension that RDKit cannot read is left out, unless it may change the molecule; see
    `unread_extension`.

    Raises:
        ValueError: for what is not a SMILES.
        InputError: for an extension that may change the molecule and cannot be read, and for
            characters that no SMILES has.
    """
    bare, bar, extension = smiles.partition(" |")
    extension = extension.rpartition("|")[0]
    if not (bare.isascii() and bare.isprintable()) or " " in bare:
        # RDKit takes what follows a blank for a name, ends at a NUL, and strips what is not ASCII
        # from both ends; it would return the molecule of the rest.
        raise InputError(
            f"{smiles[:80]!a} is not one SMILES: it has a blank, a control character or a character"
            " that is not ASCII in it",
            code="UNREADABLE_SMILES",
        )
    molecule = Chem.MolFromSmiles(smiles)
    if molecule is None and bar:
        molecule = Chem.MolFromSmiles(bare)
        if molecule is not None and _CHANGES_MOLECULE.search(extension):
            raise _unusable(extension, "cannot be read")
    if molecule is None:
        raise ValueError(smiles)
    if "^" in extension and not any(a.GetNumRadicalElectrons() for a in molecule.GetAtoms()):
        raise _unusable(extension, "names radicals that are not in the molecule")
    return molecule


def unread_extension(smiles: str) -> str | None:
    """Return the extension that `read_cxsmiles` leaves out of a readable SMILES."""
    bare, bar, extension = smiles.partition(" |")
    if not bar or Chem.MolFromSmiles(smiles) is not None or Chem.MolFromSmiles(bare) is None:
        return None
    return "|" + extension


def _unusable(extension: str, problem: str) -> InputError:
    return InputError(
        f"the CXSMILES extension |{extension[:80]}| {problem}; correct it, or leave it out",
        code="UNREADABLE_SMILES",
    )
