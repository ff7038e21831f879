"""Events of molecules, without RDKit."""

import quantum_forge as qf

WEIGHTS = {"C": 16.043, "CC": 30.07, "CCC": 44.097, "O": 18.015}
"""g/mol, by SMILES."""


def created(smiles: str = "C", **fields: object) -> qf.MoleculeCreated:
    """The event of an alkane, or of water."""
    return qf.MoleculeCreated(
        smiles=smiles,
        charge=0,
        multiplicity=1,
        formula=f"formula of {smiles}",
        molecular_weight=WEIGHTS[smiles],
        generation_method="manual",
        toolkit="none",
        toolkit_version="1",
        **fields,  # type: ignore[arg-type]  # the optional ones
    )
