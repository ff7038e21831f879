"""Searches by structure find what RDKit finds in every molecule, fingerprints or not."""

from uuid import UUID

import pytest
from rdkit import Chem
from rdkit.DataStructs import TanimotoSimilarity
from sqlalchemy import Connection, Engine

from quantum_forge.eventstore.base.errors import WrongSearch
from quantum_forge.eventstore.database.settings import DEFAULT_TENANT_ID as TENANT
from quantum_forge.eventstore.recording.author import Author
from quantum_forge.eventstore.recording.recorder import Recorder
from quantum_forge.projections.project.projector import catch_up
from quantum_forge.projections.registry import named
from quantum_forge.runner.campaign.properties import compute_properties
from quantum_forge.runner.molecules.fingerprints import morgan_fingerprint
from quantum_forge.runner.molecules.identity import canonical_smiles
from quantum_forge.runner.search.structures import similar, substructure
from quantum_forge.schema.domains.molecules import MoleculeDeleted, molecule_id
from tests.support.campaigns import nci
from tests.support.chemical_history import created, happened, record

OTHER_TENANT = UUID(int=2, version=4)
TABLES = ["molecules", "molecule_properties_computed", "molecule_fingerprints"]
LATE = ["CC(=O)Oc1ccccc1C(=O)O", "CC(=O)Nc1ccc(O)cc1", "c1ccccc1", "[Na+].[Cl-]"]
"""Recorded after the fingerprints of the others were computed."""

SMARTS = [
    "c1ccccc1",
    "C(=O)[OX2H1]",
    "[#7;R]",
    "[r6]!@[!r]",
    "[CX4;^3][F,Cl,Br,I]",
    "[$(N-C=O)]",
    "[#6]~[#8].[#7]",
    "[U]",
    "[!#1]",
]


FULLERENE = (
    "c12c3c4c5c1c1c6c7c2c2c8c3c3c9c4c4c%10c5c5c1c1c6c6c%11c7c2c2c7c8c3c3c8c9c4c4c9c%10c5c5c1c1c6c6"
    "c%11c2c2c7c3c3c8c4c4c9c5c1c1c6c2c3c41"
)
CHAIN = "~".join(["c"] * 40 + ["[Si]"])
"""What takes RDKit longer than the universe has existed to find nowhere in it."""


@pytest.fixture
def smiles(engine: Engine) -> list[str]:
    """The SMILES of the tenant's molecules: most have fingerprints, some are of other tenants."""
    found = {canonical_smiles(line.split()[0]) for line in nci(150)} - {None, *LATE}
    early = sorted(each for each in found if each is not None)
    record(
        engine,
        *map(created, [*early, "CCO", "nonsense"]),
        created("OCC1CC1", tenant_id=OTHER_TENANT),
    )
    catch_up(engine, named(TABLES))
    with Recorder(engine, Author(tenant_id=TENANT)) as recorder:
        done = compute_properties(recorder, jobs=1)
    assert [problem.smiles for problem in done.problems] == ["nonsense"]
    record(
        engine,
        *map(created, LATE),
        happened(MoleculeDeleted(), molecule_id(TENANT, "CCO", 0, 1)),
    )
    catch_up(engine, named(TABLES))
    return [*early, *LATE]


def test_searches_find_what_rdkit_finds(engine: Engine, smiles: list[str]) -> None:
    """Neither the screening nor a fingerprint that is missing loses a molecule, or adds one."""
    mols = {each: Chem.MolFromSmiles(each) for each in smiles}
    with engine.connect() as connection:
        agrees(connection, mols)
        says_when_it_is_cut(connection)


def agrees(connection: Connection, mols: dict[str, Chem.Mol]) -> None:
    """Every search has the hits of RDKit alone, in order."""
    smiles = list(mols)
    for smarts in SMARTS:
        found = substructure(connection, TENANT, smarts, limit=1_000)
        query = Chem.MolFromSmarts(smarts)
        expected = [each for each, mol in mols.items() if mol.HasSubstructMatch(query)]
        assert [hit.smiles for hit in found.hits] == sorted(
            expected, key=lambda each: (len(each), molecule_id(TENANT, each, 0, 1))
        )
        assert found.is_complete
        assert found.unscreened == len(LATE) + 1

    for threshold in (0.2, 1.0):
        for wanted in (smiles[7], LATE[0], "OCC1CC1"):
            near = similar(connection, TENANT, wanted, threshold=threshold, limit=1_000)
            bits = morgan_fingerprint(Chem.MolFromSmiles(wanted))
            scores = {
                each: TanimotoSimilarity(morgan_fingerprint(mol), bits)
                for each, mol in mols.items()
            }
            assert {hit.smiles: hit.similarity for hit in near.hits} == {
                each: score for each, score in scores.items() if score >= threshold
            }
            ranks = [hit.similarity or 0 for hit in near.hits]
            assert ranks == sorted(ranks, reverse=True)
            assert near.is_complete


def says_when_it_is_cut(connection: Connection) -> None:
    """By the limit and by the time; the hits that it has come first in the whole answer."""
    whole = substructure(connection, TENANT, "c1ccccc1", limit=1_000)
    cut = substructure(connection, TENANT, "c1ccccc1", limit=3)
    assert (cut.hits, cut.is_complete) == (whole.hits[:3], False)
    exact = substructure(connection, TENANT, "c1ccccc1", limit=len(whole.hits))
    assert exact.is_complete

    near = similar(connection, TENANT, "c1ccccc1", threshold=0.01, limit=1_000)
    first = similar(connection, TENANT, "c1ccccc1", threshold=0.01, limit=2)
    assert (first.hits, first.is_complete) == (near.hits[:2], False)

    assert not substructure(connection, TENANT, "c1ccccc1", seconds=-1).is_complete
    assert not similar(connection, TENANT, "c1ccccc1", seconds=-1).is_complete


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda c: substructure(c, TENANT, "c1ccccc"), "unclosed ring"),
        (lambda c: substructure(c, TENANT, ""), "no atoms"),
        (lambda c: substructure(c, TENANT, "C" * 1_001), "limit of 1,000"),
        (lambda c: substructure(c, TENANT, "C", limit=0), "limit 0"),
        (lambda c: similar(c, TENANT, "C(C)(C)(C)(C)C"), "valence"),
        (lambda c: similar(c, TENANT, "C" * 10_001), "limit of 10,000"),
        (lambda c: similar(c, TENANT, "C", threshold=0), "threshold 0"),
        (lambda c: similar(c, TENANT, "C", threshold=float("nan")), "threshold nan"),
    ],
)
def test_what_cannot_be_searched_for_is_refused(
    call: object, told: str, common_engine: Engine
) -> None:
    """With the reason, before anything is read."""
    assert callable(call)
    with common_engine.connect() as connection, pytest.raises(WrongSearch, match=told):
        call(connection)


def test_a_search_that_explodes_ends_and_finds_what_else_there_is(engine: Engine) -> None:
    """One molecule in which a SMARTS has too many places to try is left out, and it says so."""
    record(engine, *map(created, [FULLERENE, "OCC1CC1"]))
    catch_up(engine, named(TABLES))
    parts = ".".join(["c"] * 30 + ["[Si]"])
    with engine.connect() as connection:
        for smarts in (f"[$({CHAIN}),$(C1CC1)]", CHAIN, parts):
            found = substructure(connection, TENANT, smarts)
            assert not found.is_complete
            assert [hit.smiles for hit in found.hits] == ["OCC1CC1"] * ("C1CC1" in smarts)
        assert substructure(connection, TENANT, "c1ccccc1").is_complete
