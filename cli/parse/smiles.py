"""SMILES as they are written on the command line."""


def canonical(smiles: str) -> str | None:
    """Return a SMILES as it is stored; None for another text, or where RDKit is not installed."""
    try:
        from quantum_forge.runner.molecules.identity import canonical_smiles
    except ImportError:
        return None
    return canonical_smiles(smiles)
