"""Drawings of molecules by RDKit."""

from functools import lru_cache

MOST_ATOMS = 200
"""Heavy atoms of a drawing. Its time grows with more than the square of them, its text with them:
2,000 take half a minute and 1 MB, and nobody sees anything in it."""


@lru_cache(maxsize=200)
def svg_of(smiles: str, *, width: int = 150, height: int = 120) -> str:
    """Return a molecule as SVG; nothing without RDKit, of a large one, or of what cannot be read.

    Drawings are kept for those who ask again: 40 MB of large ones at most.
    """
    try:
        from rdkit import Chem, rdBase
        from rdkit.Chem.Draw import rdMolDraw2D
    except ModuleNotFoundError:
        return ""
    with rdBase.BlockLogs():
        molecule = Chem.MolFromSmiles(smiles)
    if molecule is None or molecule.GetNumAtoms() > MOST_ATOMS:
        return ""
    drawer = rdMolDraw2D.MolDraw2DSVG(width, height)
    rdMolDraw2D.PrepareAndDrawMolecule(drawer, molecule)
    drawer.FinishDrawing()
    svg: str = drawer.GetDrawingText()
    return svg[svg.index("<svg") :]
