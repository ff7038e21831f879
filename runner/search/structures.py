"""Molecules with a substructure, and molecules that are similar to another one."""

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from uuid import UUID

import msgspec
from rdkit import Chem
from rdkit.DataStructs import ExplicitBitVect, TanimotoSimilarity
from sqlalchemy import Connection, Select, func, select

from quantum_forge.eventstore.base.errors import WrongSearch
from quantum_forge.runner.errors import InputError
from quantum_forge.runner.molecules.fingerprints import (
    fingerprint_version,
    morgan_fingerprint,
    pattern_fingerprint,
    written,
)
from quantum_forge.runner.molecules.limits import refuse_large_smiles
from quantum_forge.runner.molecules.rdkit_messages import collected_messages, reason_from
from quantum_forge.runner.search.matching import Matcher, Undecided
from quantum_forge.runner.search.screening import similar_to, unscreened, with_bits
from quantum_forge.schema.domains.molecules import molecules

LONGEST_SMARTS = 1_000
"""Characters of a SMARTS."""

MOST_HITS = 10_000
"""Hits of one search at most."""

SECONDS = 10.0
"""Seconds after which a search returns what it has found."""

THRESHOLD = 0.5
"""Similarity from which on molecules are found, unless another one is asked for."""

_ROWS_AT_ONCE = 1_000
_AT_ONCE = 100
"""Molecules that are read between two looks at the clock."""

_OF_RINGS_AND_HYBRIDIZATION = frozenset("rRxk^")
"""Letters without which no SMARTS asks for sizes or numbers of rings, or for hybridization."""

_ALWAYS_PERCEIVED = Chem.SanitizeFlags.SANITIZE_PROPERTIES
_RINGS_AND_HYBRIDIZATION = (
    Chem.SanitizeFlags.SANITIZE_SYMMRINGS
    | Chem.SanitizeFlags.SANITIZE_SETCONJUGATION
    | Chem.SanitizeFlags.SANITIZE_SETHYBRIDIZATION
)


class Hit(msgspec.Struct, frozen=True, kw_only=True):
    """A molecule that was found.

    molecular_weight: g/mol. calculation_count: its completed calculations. similarity: Tanimoto
    coefficient of the Morgan fingerprints, from 0 to 1; None for a substructure.
    """

    id: UUID
    smiles: str
    name: str | None
    formula: str
    charge: int
    multiplicity: int
    molecular_weight: float
    calculation_count: int
    similarity: float | None = None


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """The hits of a search.

    is_complete: whether there are no others; else `limit` or the time was reached, or a molecule
    was left out that took too long. unscreened: the molecules that RDKit had to look at because
    their fingerprints are not computed.
    """

    hits: list[Hit]
    is_complete: bool
    unscreened: int


def substructure(
    connection: Connection,
    tenant_id: UUID,
    smarts: str,
    *,
    limit: int = 100,
    seconds: float = SECONDS,
) -> Found:
    """Return the molecules that have a substructure, those of the shortest SMILES first.

    Molecules without a SMILES are not found.

    Args:
        connection: for reading.
        tenant_id: whose molecules.
        smarts: a SMARTS, as c1ccccc1C(=O)[OX2H1].
        limit: hits at most, up to 10,000.
        seconds: after which what was found is returned.

    Raises:
        WrongSearch: when it is no SMARTS, or too long, or the limit cannot be used.
    """
    _require_limit(limit)
    query = _smarts(smarts)
    version = fingerprint_version()
    found: dict[UUID, float | None] = {}
    statement = with_bits(tenant_id, written(pattern_fingerprint(query)), version)
    is_complete = True
    deadline = time.monotonic() + seconds
    matcher = Matcher(query, smarts)
    for molecule_id, mol in _read(connection, statement, _reader_for(smarts)):
        if time.monotonic() > deadline:
            is_complete = False
            break
        try:
            is_hit = mol is not None and matcher.matches(mol, deadline)
        except Undecided:
            is_complete = False
            continue
        if is_hit:
            if len(found) == limit:
                is_complete = False
                break
            found[molecule_id] = None
    return Found(
        hits=_hits(connection, tenant_id, found),
        is_complete=is_complete,
        unscreened=_count_unscreened(connection, tenant_id, version),
    )


def similar(
    connection: Connection,
    tenant_id: UUID,
    smiles: str,
    *,
    threshold: float = THRESHOLD,
    limit: int = 100,
    seconds: float = SECONDS,
) -> Found:
    """Return the molecules that are similar to another one, the most similar first.

    The similarity is the Tanimoto coefficient of Morgan fingerprints of radius 2 (ECFP4), of 2048
    bits. Molecules without a SMILES are not found.

    Args:
        connection: for reading.
        tenant_id: whose molecules.
        smiles: of the molecule to compare with, which need not be recorded.
        threshold: the least similarity, above 0 and up to 1.
        limit: hits at most, up to 10,000.
        seconds: after which what was found is returned.

    Raises:
        WrongSearch: when it is no SMILES, or the threshold or limit cannot be used.
    """
    _require_limit(limit)
    if not 0 < threshold <= 1:
        raise WrongSearch(f"threshold {threshold} is not above 0 and at most 1: use one like 0.6")
    bits = morgan_fingerprint(_smiles(smiles))
    version = fingerprint_version()
    deadline = time.monotonic() + seconds
    screened = similar_to(tenant_id, written(bits), version, threshold=threshold, limit=limit + 1)
    of_others = unscreened(tenant_id, version)
    # At once: PostgreSQL scans with several processes unless rows are fetched by parts.
    scores = dict(_scores(connection, screened, bits, deadline, by_parts=False))
    is_complete = len(scores) <= limit
    lacking = 0
    for molecule_id, score in _scores(connection, of_others, bits, deadline):
        scores[molecule_id] = score
        lacking += 1
    is_complete = is_complete and time.monotonic() <= deadline
    ranked = sorted(
        (item for item in scores.items() if item[1] >= threshold),
        key=lambda item: (-item[1], item[0]),
    )
    return Found(
        hits=_hits(connection, tenant_id, dict(ranked[:limit])),
        is_complete=is_complete and len(ranked) <= limit,
        unscreened=lacking,
    )


def _scores(
    connection: Connection,
    statement: Select[Any],
    bits: ExplicitBitVect,
    deadline: float,
    *,
    by_parts: bool = True,
) -> Iterator[tuple[UUID, float]]:
    """Yield molecules with their similarity as RDKit computes it, until the time is over."""
    for molecule_id, mol in _read(connection, statement, Chem.MolFromSmiles, by_parts=by_parts):
        if mol is not None:
            yield molecule_id, float(TanimotoSimilarity(morgan_fingerprint(mol), bits))
        if time.monotonic() > deadline:
            return


def _read(
    connection: Connection,
    statement: Select[Any],
    reader: Callable[[str], Chem.Mol | None],
    *,
    by_parts: bool = True,
) -> Iterator[tuple[UUID, Chem.Mol | None]]:
    """Yield the rows of a statement as molecules; None for a SMILES that cannot be read."""
    options = {"stream_results": by_parts, "max_row_buffer": _ROWS_AT_ONCE}
    with connection.execute(statement, execution_options=options) as rows:
        for part in rows.partitions(_AT_ONCE):
            with collected_messages():
                mols = [(row.molecule_id, reader(row.smiles)) for row in part]
            yield from mols


def _reader_for(smarts: str) -> Callable[[str], Chem.Mol | None]:
    """Return how a canonical SMILES is read for a search: with what the SMARTS can ask for.

    Its aromatic atoms are written in lower case already, and its valences were checked.
    """
    perceived = _ALWAYS_PERCEIVED
    if set(smarts) & _OF_RINGS_AND_HYBRIDIZATION:
        perceived |= _RINGS_AND_HYBRIDIZATION

    def read(smiles: str) -> Chem.Mol | None:
        mol = Chem.MolFromSmiles(smiles, sanitize=False)
        if mol is None or Chem.SanitizeMol(mol, perceived, catchErrors=True):
            return None
        if perceived == _ALWAYS_PERCEIVED:
            Chem.FastFindRings(mol)
        return mol

    return read


def _smarts(smarts: str) -> Chem.Mol:
    if len(smarts) > LONGEST_SMARTS:
        raise WrongSearch(
            f"the SMARTS has {len(smarts):,} characters, more than the limit of {LONGEST_SMARTS:,}"
        )
    with collected_messages() as messages:
        mol = Chem.MolFromSmarts(smarts)
    if mol is None or mol.GetNumAtoms() == 0:
        reason = reason_from(messages, "it has no atoms" if mol is not None else "not a SMARTS")
        raise WrongSearch(f"{smarts!r} is no SMARTS: {reason}; write one like c1ccccc1C(=O)O")
    return mol


def _smiles(smiles: str) -> Chem.Mol:
    try:
        refuse_large_smiles(smiles)
    except InputError as error:
        raise WrongSearch(str(error)) from error
    with collected_messages() as messages:
        mol = Chem.MolFromSmiles(smiles)
    if mol is None or mol.GetNumAtoms() == 0:
        reason = reason_from(messages, "it has no atoms" if mol is not None else "not a SMILES")
        raise WrongSearch(f"{smiles!r} is no SMILES: {reason}")
    return mol


def _require_limit(limit: int) -> None:
    if not 1 <= limit <= MOST_HITS:
        raise WrongSearch(f"limit {limit} is not from 1 to {MOST_HITS:,}")


def _count_unscreened(connection: Connection, tenant_id: UUID, version: str) -> int:
    query = select(func.count()).select_from(
        unscreened(tenant_id, version).order_by(None).subquery()
    )
    return connection.execute(query).scalar_one()


def _hits(connection: Connection, tenant_id: UUID, found: Mapping[UUID, float | None]) -> list[Hit]:
    """Return the rows of molecules in the order in which they were found."""
    names = [name for name in Hit.__struct_fields__ if name != "similarity"]
    query = select(*(molecules.c[name] for name in names)).where(
        molecules.c.tenant_id == tenant_id, molecules.c.id.in_(list(found))
    )
    rows = {row["id"]: row for row in connection.execute(query).mappings()} if found else {}
    return [Hit(**rows[id_], similarity=score) for id_, score in found.items() if id_ in rows]
