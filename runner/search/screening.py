"""Statements that screen the molecules of a tenant by their fingerprints.

Molecules whose fingerprints are of another version, or not computed yet, pass every screen.
"""

import math
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Double,
    Integer,
    Select,
    Text,
    cast,
    func,
    literal,
    or_,
    select,
)
from sqlalchemy.dialects.postgresql import BIT

from quantum_forge.schema.domains.molecules import FINGERPRINT_BITS, molecule_fingerprints

_F = molecule_fingerprints.c


def with_bits(tenant_id: UUID, bits: str, version: str) -> Select[Any]:
    """Select the molecules that have all these bits of the pattern fingerprint, the short first.

    Args:
        tenant_id: whose.
        bits: of the substructure, as x and hexadecimal digits.
        version: of the fingerprints.
    """
    wanted = _bits(bits)
    screened = _F.pattern_fingerprint.op("&")(wanted) == wanted
    return (
        select(_F.molecule_id, _F.smiles)
        .where(_F.tenant_id == tenant_id, or_(_is_unscreened(version), screened))
        .order_by(func.length(_F.smiles), _F.molecule_id)
    )


def similar_to(
    tenant_id: UUID, bits: str, version: str, *, threshold: float, limit: int
) -> Select[Any]:
    """Select molecules by their Tanimoto similarity, the most similar first.

    Args:
        tenant_id: whose.
        bits: the Morgan fingerprint, as x and hexadecimal digits.
        version: of the fingerprints.
        threshold: the least similarity, above 0.
        limit: rows at most.
    """
    count = int(bits[1:], 16).bit_count()
    # In the order of the operators: a row of too few or too many bits is not compared.
    fewest, most = math.ceil(count * threshold), math.floor(count / threshold)
    shared = func.bit_count(_F.morgan_fingerprint.op("&")(_bits(bits)))
    union = _F.morgan_bit_count + literal(count, Integer()) - shared
    similarity = cast(shared, Double()) / cast(func.nullif(union, 0), Double())
    return (
        select(_F.molecule_id, _F.smiles, similarity.label("similarity"))
        .where(
            _F.tenant_id == tenant_id,
            _F.fingerprint_version == version,
            _F.morgan_bit_count.between(fewest, most),
            similarity >= threshold,
        )
        .order_by(similarity.desc(), _F.molecule_id)
        .limit(limit)
    )


def unscreened(tenant_id: UUID, version: str) -> Select[Any]:
    """Select the molecules that have no fingerprints of this version."""
    return (
        select(_F.molecule_id, _F.smiles)
        .where(_F.tenant_id == tenant_id, _is_unscreened(version))
        .order_by(_F.molecule_id)
    )


def _is_unscreened(version: str) -> ColumnElement[bool]:
    # Not as IS DISTINCT FROM, which no index serves.
    stored = _F.fingerprint_version
    return or_(stored.is_(None), stored < version, stored > version)


def _bits(written: str) -> ColumnElement[Any]:
    return cast(literal(written, Text()), BIT(FINGERPRINT_BITS))
