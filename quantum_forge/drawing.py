"""Drawings of molecules by RDKit."""

from functools import lru_cache


@lru_cache(maxsize=1_000)
def svg_of(smiles: str, *, width: int = 150, height: int = 120) -> str:
    """Return a molecule as SVG; nothing without RDKit, or of what RDKit cannot read."""
    try:
        from rdkit import Chem, rdBase
        from rdkit.Chem.Draw import rdMolDraw2D
    except ModuleNotFoundError:
        return ""
    with rdBase.BlockLogs():
        molecule = Chem.MolFromSmiles(smiles)
    if molecule is None:
        return ""
    drawer = rdMolDraw2D.MolDraw2DSVG(width, height)
    rdMolDraw2D.PrepareAndDrawMolecule(drawer, molecule)
    drawer.FinishDrawing()
    svg: str = drawer.GetDrawingText()
    return svg[svg.index("<svg") :]
