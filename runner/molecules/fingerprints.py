"""Fingerprints of molecules, computed by RDKit: by them searches by structure are screened."""

from functools import cache

import msgspec
from rdkit import Chem
from rdkit.Chem import rdFingerprintGenerator, rdMolDescriptors, rdmolops
from rdkit.DataStructs import ExplicitBitVect

from quantum_forge.schema.domains.molecules import FINGERPRINT_BITS

MORGAN_RADIUS = 2
"""Bonds around an atom that the Morgan fingerprint looks at, as in ECFP4."""


class Fingerprints(msgspec.Struct, frozen=True, kw_only=True):
    """Both fingerprints of a molecule, as events have them: x and hexadecimal digits."""

    pattern_fingerprint: str
    morgan_fingerprint: str


def fingerprint_version() -> str:
    """Return the versions of RDKit's algorithms, which change less often than RDKit's."""
    pattern = rdmolops._PatternFingerprint_version
    morgan = rdMolDescriptors._MorganFingerprint_version
    return f"pattern {pattern}, Morgan {morgan}"


def fingerprints(mol: Chem.Mol) -> Fingerprints:
    """Return the fingerprints of a molecule as RDKit has read it."""
    return Fingerprints(
        pattern_fingerprint=written(pattern_fingerprint(mol)),
        morgan_fingerprint=written(morgan_fingerprint(mol)),
    )


def pattern_fingerprint(mol: Chem.Mol) -> ExplicitBitVect:
    """Return the bits of which a molecule has all those of each of its substructures."""
    bits: ExplicitBitVect = Chem.PatternFingerprint(mol, FINGERPRINT_BITS)
    return bits


def morgan_fingerprint(mol: Chem.Mol) -> ExplicitBitVect:
    """Return the bits that stand for the surroundings of a molecule's atoms."""
    bits: ExplicitBitVect = _generator().GetFingerprint(mol)
    return bits


def written(bits: ExplicitBitVect) -> str:
    """Return bits as x and hexadecimal digits, the first bit first."""
    text = bits.ToBitString()  # type: ignore[no-untyped-call]  # RDKit's own, untyped
    return f"x{int(text, 2):0{FINGERPRINT_BITS // 4}x}"


@cache
def _generator() -> rdFingerprintGenerator.FingerprintGenerator64:
    return rdFingerprintGenerator.GetMorganGenerator(radius=MORGAN_RADIUS, fpSize=FINGERPRINT_BITS)
