"""Methods of a forge that search: by words and ids, by substructure, by similarity."""

from types import ModuleType
from typing import TYPE_CHECKING

from quantum_forge.door import Door
from quantum_forge.recording import RdkitMissing
from quantum_forge.schema.domains.users import Role

if TYPE_CHECKING:
    from quantum_forge.projections.queries.search import Findings
    from quantum_forge.runner.search.structures import Found


def canonical(smiles: str) -> str | None:
    """Return a SMILES as it is stored; None for another text, or where RDKit is not installed."""
    try:
        from quantum_forge.runner.molecules.identity import canonical_smiles
    except ImportError:
        return None
    return canonical_smiles(smiles)


def structures() -> ModuleType:
    """Return the module that searches by structure.

    Raises:
        RdkitMissing: where RDKit is not installed.
    """
    try:
        from quantum_forge.runner.search import structures as found
    except ModuleNotFoundError as error:
        raise RdkitMissing from error
    return found


def search(forge: Door, words: str, *, limit: int = 10) -> "Findings":
    """Search names, descriptions, messages and logs of the tenant for words, and by ids.

    Every word must be in the text, or begin one of its words. A SMILES, an InChIKey, a formula, an
    id or at least four digits of one find what they identify, too. The read models are as they are:
    `catch_up` brings them up to date.

    Args:
        words: what is searched for, as a person writes it.
        limit: findings of each kind, up to 1,000.

    Raises:
        WrongSearch: for an empty text, or a limit that cannot be used.
    """
    from quantum_forge.projections.queries.search import search as search_words

    person = forge.person
    audited = not person.has_users or Role.ADMIN in person.roles
    with forge.connect() as connection:
        return search_words(
            connection,
            forge.author.tenant_id,
            words,
            limit=limit,
            canonical=canonical,
            audited=audited,
        )


def substructure(forge: Door, smarts: str, *, limit: int = 100, seconds: float = 10.0) -> "Found":
    """Find the molecules that have a substructure, those of the shortest SMILES first.

    Args:
        smarts: the substructure, as c1ccccc1C(=O)[OX2H1].
        limit: hits at most, up to 10,000.
        seconds: after which what was found is returned; `is_complete` says so.

    Raises:
        WrongSearch: when it is no SMARTS, or the limit cannot be used.
        RdkitMissing: where RDKit is not installed.
    """
    module = structures()
    with forge.connect() as connection:
        found: Found = module.substructure(
            connection, forge.author.tenant_id, smarts, limit=limit, seconds=seconds
        )
    return found


def similar(
    forge: Door,
    smiles: str,
    *,
    threshold: float = 0.5,
    limit: int = 100,
    seconds: float = 10.0,
) -> "Found":
    """Find the molecules that are similar to another one, the most similar first.

    The similarity is the Tanimoto coefficient of Morgan fingerprints of radius 2 (ECFP4).

    Args:
        smiles: of the molecule to compare with, which need not be recorded.
        threshold: the least similarity, above 0 and up to 1.
        limit: hits at most, up to 10,000.
        seconds: after which what was found is returned; `is_complete` says so.

    Raises:
        WrongSearch: when it is no SMILES, or the threshold or limit cannot be used.
        RdkitMissing: where RDKit is not installed.
    """
    module = structures()
    with forge.connect() as connection:
        found: Found = module.similar(
            connection,
            forge.author.tenant_id,
            smiles,
            threshold=threshold,
            limit=limit,
            seconds=seconds,
        )
    return found
