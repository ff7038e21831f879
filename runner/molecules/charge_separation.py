"""The usual form of perceived molecules whose charges are separated where no one writes them so.

Bonds that are perceived from a geometry are those of dimethyl sulfoxide as C[S+](C)[O-], and of
methyl azide as C[N-][N+]#N; written by a chemist, they are CS(C)=O and CN=[N+]=[N-]. A molecule has
one identity only where both arrive as one of them.
"""

from itertools import pairwise

from rdkit import Chem

_EXPANDED = frozenset({15, 16, 33, 34, 51, 52})
"""Phosphorus, sulfur and the elements below them, which are written with five or six bonds."""

_CHALCOGENS = frozenset({8, 16, 34})
_LONGEST_PATH = 12
"""Bonds between the charge and the diazo group."""

_DOUBLE, _SINGLE, _TRIPLE = Chem.BondType.DOUBLE, Chem.BondType.SINGLE, Chem.BondType.TRIPLE


def united(mol: Chem.Mol) -> Chem.Mol:
    """Return a molecule with the usual forms of oxides of P, S, As, Se, and of diazo groups.

    A molecule without them is returned as it is; so is one that RDKit does not accept afterwards.
    """
    if all(atom.GetFormalCharge() <= 0 for atom in mol.GetAtoms()):
        return mol
    changed = Chem.RWMol(mol)
    try:
        Chem.Kekulize(changed, clearAromaticFlags=True)
        is_changed = _unite_oxides(changed)
        is_changed |= _move_charge_to_diazo(changed)
        if not is_changed:
            return mol
        Chem.SanitizeMol(changed)
        Chem.AssignStereochemistry(changed, cleanIt=True, force=True)
    except ValueError:
        return mol
    return changed.GetMol()


def _unite_oxides(mol: Chem.RWMol) -> bool:
    """Write X+ and O- with a single bond between them as X=O."""
    is_changed = False
    for bond in mol.GetBonds():
        for one, other in (
            (bond.GetBeginAtom(), bond.GetEndAtom()),
            (bond.GetEndAtom(), bond.GetBeginAtom()),
        ):
            if (
                bond.GetBondType() == _SINGLE
                and one.GetAtomicNum() in _EXPANDED
                and one.GetFormalCharge() > 0
                and other.GetAtomicNum() in _CHALCOGENS
                and other.GetFormalCharge() == -1
                and other.GetDegree() == 1
            ):
                bond.SetBondType(_DOUBLE)
                one.SetFormalCharge(one.GetFormalCharge() - 1)
                other.SetFormalCharge(0)
                is_changed = True
    return is_changed


def _move_charge_to_diazo(mol: Chem.RWMol) -> bool:
    """Write N#[N+] that is conjugated with C- or N- as [N-]=[N+]."""
    is_changed = False
    for bond in mol.GetBonds():
        if bond.GetBondType() != _TRIPLE:
            continue
        for end, middle in (
            (bond.GetBeginAtom(), bond.GetEndAtom()),
            (bond.GetEndAtom(), bond.GetBeginAtom()),
        ):
            if not (
                end.GetAtomicNum() == middle.GetAtomicNum() == 7
                and end.GetDegree() == 1
                and end.GetFormalCharge() == 0
                and middle.GetDegree() == 2
                and middle.GetFormalCharge() == 1
            ):
                continue
            path = _alternating(mol, middle, [end.GetIdx(), middle.GetIdx()])
            if path is None:
                continue
            bond.SetBondType(_DOUBLE)
            end.SetFormalCharge(-1)
            mol.GetAtomWithIdx(path[-1]).SetFormalCharge(0)
            for step, (first, second) in enumerate(pairwise(path[1:])):
                flipped = _DOUBLE if step % 2 == 0 else _SINGLE
                mol.GetBondBetweenAtoms(first, second).SetBondType(flipped)
            is_changed = True
            break
    return is_changed


def _alternating(mol: Chem.RWMol, atom: Chem.Atom, path: list[int]) -> list[int] | None:
    """Extend a path by single and double bonds in turn, to C- or N- after a single one."""
    if len(path) > _LONGEST_PATH:
        return None
    wanted = _SINGLE if len(path) % 2 == 0 else _DOUBLE
    for bond in atom.GetBonds():
        following = bond.GetOtherAtom(atom)
        if bond.GetBondType() != wanted or following.GetIdx() in path:
            continue
        longer = [*path, following.GetIdx()]
        if wanted == _SINGLE and (
            following.GetFormalCharge() == -1 and following.GetAtomicNum() in (6, 7)
        ):
            return longer
        if (found := _alternating(mol, following, longer)) is not None:
            return found
    return None
