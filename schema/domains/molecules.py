"""Molecules, their properties, and the project that each belongs to."""

from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

from msgspec import UNSET, Meta, StructMeta, UnsetType
from sqlalchemy import BigInteger, Double, Index, Integer, Text, Uuid, text
from sqlalchemy.dialects.postgresql import BIT

from quantum_forge.schema.domains.calculations import (
    CalculationCompleted,
    CalculationEvent,
    CalculationFailed,
    CalculationInvalidated,
    CalculationLost,
    CalculationRestored,
    Identity,
    Multiplicity,
)
from quantum_forge.schema.language.event import Event, event
from quantum_forge.schema.language.evolution import Drop
from quantum_forge.schema.language.fields import Count, IndexedText, Timestamp, in_the_form
from quantum_forge.schema.language.fold import count, last
from quantum_forge.schema.language.identity import natural_id
from quantum_forge.schema.language.lifecycle import NEW, lifecycle, when
from quantum_forge.schema.language.projection import projection
from quantum_forge.schema.language.table import (
    TIMESTAMP,
    check,
    column,
    derived,
    either,
    one_of,
    read_model,
)
from quantum_forge.schema.language.value import entity_id, user_id
from quantum_forge.schema.language.words import searched
from quantum_forge.schema.language.writing import written_by

Structure = Annotated[str, Meta(min_length=1)]

FINGERPRINT_BITS = 2048
"""Bits of each fingerprint of a molecule."""

Fingerprint = Annotated[
    str,
    in_the_form(
        rf"^x[0-9a-f]{{{FINGERPRINT_BITS // 4}}}$",
        f"x and {FINGERPRINT_BITS // 4} hexadecimal digits",
    ),
]
"""Bits as PostgreSQL reads them: x and hexadecimal digits, the first bit first."""


def molecule_id(tenant_id: UUID, structure: str, charge: int, multiplicity: int) -> UUID:
    """Id of the molecule with this structure, charge (e) and multiplicity (2S+1).

    structure: its canonical SMILES, or else its identity key.
    """
    return natural_id("molecule", tenant_id, structure, charge, multiplicity)


def _by_structure(tenant_id: UUID, created: Any) -> UUID:
    return molecule_id(tenant_id, created.structure, created.charge, created.multiplicity)


class _Identified(StructMeta):
    """Type of an event whose fields follow from a SMILES, which a person should not work out."""

    if not TYPE_CHECKING:  # a type checker shall know the fields

        def __call__(cls, *args, **kwargs):  # noqa: N805  # of a metaclass
            try:
                return super().__call__(*args, **kwargs)
            except TypeError as error:
                raise TypeError(
                    f"{cls.__name__}: {error}; forge.molecule(smiles) works out every field of a"
                    " molecule and records it"
                ) from error


@event("molecule", identity=_by_structure)
class MoleculeCreated(Event, frozen=True, kw_only=True, metaclass=_Identified):
    """A molecule entered the system; its id is derived from tenant, SMILES, charge, multiplicity.

    smiles: canonical; null for a molecule that is known by its identity_key instead, from which its
    id is derived then. identity: how it was identified when it entered. molecular_weight: g/mol.
    generation_method: `manual`, `imported`, `MolGAN`, … toolkit: what canonicalised the SMILES, or
    made the identity_key.

    Raises:
        ValueError: unless it has either a SMILES or an identity_key.
    """

    smiles: Structure | None
    identity_key: Structure | UnsetType = UNSET
    identity: Identity | UnsetType = UNSET
    charge: int
    multiplicity: Multiplicity
    formula: str
    molecular_weight: Annotated[float, Meta(gt=0)]
    generation_method: str
    toolkit: str
    toolkit_version: str
    inchikey: IndexedText | None = None
    name: IndexedText | UnsetType | None = UNSET
    project_id: UUID | UnsetType | None = UNSET
    metadata: dict[str, object] | UnsetType = UNSET

    def __post_init__(self) -> None:
        if (self.smiles is None) == (self.identity_key is UNSET):
            raise ValueError("a molecule has either a SMILES or an identity_key")

    @property
    def structure(self) -> str:
        """What, with charge and multiplicity, its id is derived from."""
        structure = self.identity_key if self.smiles is None else self.smiles
        assert isinstance(structure, str)
        return structure


@event("molecule", history=[[Drop("project_id")]])
class MoleculeUpdated(Event, frozen=True, kw_only=True):
    """What people may change of a molecule: absent leaves a value alone, null clears it.

    Its project changes by `MoleculeRemovedFromProject` and `MoleculeAddedToProject`: two projects
    have another count then, and an event changes one row of a table.
    """

    name: IndexedText | UnsetType | None = UNSET
    generation_method: str | UnsetType = UNSET
    metadata: dict[str, object] | UnsetType | None = UNSET


@event("molecule")
class MoleculeAddedToProject(Event, frozen=True, kw_only=True):
    """A molecule joined a project; to move it, have it leave another in the same append."""

    project_id: UUID


@event("molecule")
class MoleculeRemovedFromProject(Event, frozen=True, kw_only=True):
    """A molecule left a project. from_project_id: that it was in; recorders fill it in."""

    from_project_id: UUID | UnsetType | None = UNSET
    project_id: None = None


@event("molecule")
class MoleculeDeleted(Event, frozen=True, kw_only=True):
    """A molecule was deleted; created again, it starts anew.

    from_project_id: the project that has one less now; recorders fill it in.
    """

    reason: str | None = None
    from_project_id: UUID | UnsetType | None = UNSET


@event("molecule")
class MoleculePropertiesComputed(Event, frozen=True, kw_only=True):
    """Descriptors of a molecule, computed by a toolkit.

    molecular_weight: g/mol. topological_polar_surface_area: Å². The others have no unit.
    pattern_fingerprint: RDKit's, by which substructures are screened. morgan_fingerprint: of
    radius 2, for similarity. fingerprint_version: of both algorithms; fingerprints of different
    versions are not compared.
    """

    molecular_weight: float
    logp: float
    hydrogen_bond_donors: Count
    hydrogen_bond_acceptors: Count
    rotatable_bonds: Count
    topological_polar_surface_area: float
    molar_refractivity: float
    qed: float
    toolkit: str
    toolkit_version: str
    computed_at: Timestamp
    pattern_fingerprint: Fingerprint | UnsetType = UNSET
    morgan_fingerprint: Fingerprint | UnsetType = UNSET
    fingerprint_version: IndexedText | UnsetType = UNSET


lifecycle(
    "molecule",
    {
        MoleculeCreated: when(
            NEW, "deleted", then="present", needs={"project_id": ("project", "active")}
        ),
        MoleculeUpdated: when("present"),
        MoleculeAddedToProject: when(
            "present", needs={"project_id": ("project", "active")}, lacks=("project_id",)
        ),
        MoleculeRemovedFromProject: when("present", carries={"from_project_id": "project_id"}),
        MoleculePropertiesComputed: when("present"),
        MoleculeDeleted: when("present", then="deleted", carries={"from_project_id": "project_id"}),
    },
)

molecules = read_model(
    "molecules",
    "One row per molecule: canonical SMILES or connectivity, charge and multiplicity",
    [column("id", Uuid, "uuid5 of tenant, SMILES or identity_key, charge and multiplicity")],
    column("smiles", Text, "Canonical SMILES; null for a molecule identified by its identity_key"),
    column("name", Text, "Name given by a user"),
    column("formula", Text, "Molecular formula in Hill order", required=True),
    column("inchikey", Text, "InChIKey; merges tautomers, so never an identity"),
    column("charge", Integer, "Total charge in e", required=True),
    column("multiplicity", Integer, "Spin multiplicity 2S+1", required=True),
    column("molecular_weight", Double, "Molecular weight in g/mol", required=True),
    column("generation_method", Text, "manual, imported, MolGAN, …", required=True),
    column("project_id", Uuid, "Project that it belongs to"),
    column("user_id", Uuid, "User who created it"),
    column(
        "toolkit", Text, "Toolkit that canonicalised the SMILES or computed the key", required=True
    ),
    column("toolkit_version", Text, "Version of that toolkit", required=True),
    column(
        "completed_calculation_count",
        BigInteger,
        "Number of times that one of its calculations got a result: completed, or restored after a "
        "retraction",
        required=True,
    ),
    column(
        "retracted_calculation_count",
        BigInteger,
        "Number of completed results that were invalidated later",
        required=True,
    ),
    derived(
        "calculation_count",
        BigInteger,
        "completed_calculation_count - retracted_calculation_count",
        "Number of completed calculations that are valid",
    ),
    column(
        "failed_calculation_count",
        BigInteger,
        "Number of attempts that failed or were lost",
        required=True,
    ),
    column("identity", Text, f"Identified first by {either(Identity)}", added=True),
    column("identity_key", Text, "Key of the connectivity; null with a SMILES", added=True),
    one_of("identity_is_known", "identity", Identity),
    check("has_either_smiles_or_identity_key", "num_nonnulls(smiles, identity_key) = 1"),
    check("multiplicity_is_positive", "multiplicity > 0"),
    check("molecular_weight_is_positive", "molecular_weight > 0"),
    # A SMILES may be longer than an entry of a B-tree: looked up by hash, unique by digest.
    Index("molecules_smiles_idx", "smiles", postgresql_using="hash"),
    Index(
        "molecules_identity_key",
        "tenant_id",
        text("md5(coalesce(smiles, identity_key))"),
        "charge",
        "multiplicity",
        unique=True,
    ),
    Index("molecules_inchikey_idx", "tenant_id", "inchikey"),
    Index("molecules_name_idx", "name", postgresql_using="hash"),
    Index("molecules_formula_idx", "formula", postgresql_using="hash"),
    Index("molecules_created_idx", "tenant_id", "created_at"),
    Index(
        "molecules_user_idx",
        "tenant_id",
        "user_id",
        "created_at",
        postgresql_where=text("user_id IS NOT NULL"),
    ),
    Index(
        "molecules_project_idx",
        "tenant_id",
        "project_id",
        postgresql_where=text("project_id IS NOT NULL"),
    ),
    searched("molecules", "name"),
    metadata=True,
)

molecule_properties_computed = read_model(
    "molecule_properties_computed",
    "One row per molecule whose descriptors a toolkit has computed",
    [column("molecule_id", Uuid, "Its molecule")],
    column("molecular_weight", Double, "Average molecular weight in g/mol", required=True),
    column("logp", Double, "Octanol-water partition coefficient (Crippen), log10", required=True),
    column("hydrogen_bond_donors", Integer, "Hydrogen-bond donors", required=True),
    column("hydrogen_bond_acceptors", Integer, "Hydrogen-bond acceptors", required=True),
    column("rotatable_bonds", Integer, "Rotatable bonds", required=True),
    column(
        "topological_polar_surface_area",
        Double,
        "Topological polar surface area in Å²",
        required=True,
    ),
    column("molar_refractivity", Double, "Molar refractivity (Crippen), m³/10⁶ mol", required=True),
    column("qed", Double, "Quantitative estimate of drug-likeness, 0 to 1", required=True),
    column("toolkit", Text, "Toolkit that computed them", required=True),
    column("toolkit_version", Text, "Version of that toolkit", required=True),
    column("computed_at", TIMESTAMP, "Time at which they were computed", required=True),
    Index("molecule_properties_computed_weight_idx", "tenant_id", "molecular_weight", "logp"),
    Index("molecule_properties_computed_logp_idx", "tenant_id", "logp"),
)

molecule_fingerprints = read_model(
    "molecule_fingerprints",
    "One row per molecule with a SMILES: what searches by structure read",
    [column("molecule_id", Uuid, "Its molecule")],
    column("smiles", Text, "Canonical SMILES", required=True),
    column(
        "pattern_fingerprint",
        BIT(FINGERPRINT_BITS),
        "Pattern fingerprint of RDKit, with the bits of each substructure; null until computed",
    ),
    column(
        "morgan_fingerprint",
        BIT(FINGERPRINT_BITS),
        "Morgan fingerprint of radius 2 (Rogers and Hahn, J. Chem. Inf. Model. 50, 742, 2010)",
    ),
    column("fingerprint_version", Text, "Versions of the algorithms of both fingerprints"),
    derived(
        "morgan_bit_count",
        Integer,
        "bit_count(morgan_fingerprint)",
        "Number of bits that are set in the Morgan fingerprint",
    ),
    Index("molecule_fingerprints_version_idx", "tenant_id", "fingerprint_version"),
)

projection(
    molecules,
    events=[
        MoleculeCreated,
        MoleculeUpdated,
        MoleculeAddedToProject,
        MoleculeRemovedFromProject,
        CalculationCompleted,
        CalculationFailed,
        CalculationLost,
        CalculationInvalidated,
        CalculationRestored,
    ],
    key={"id": (CalculationEvent.molecule_id, entity_id)},
    opens=[MoleculeCreated],
    ends=[MoleculeDeleted],
    columns={
        "user_id": last(user_id(MoleculeCreated)),
        "completed_calculation_count": count(CalculationCompleted, CalculationRestored),
        "retracted_calculation_count": count(CalculationInvalidated, where={"was_completed": True}),
        "failed_calculation_count": count(CalculationFailed, CalculationLost),
        "metadata": last(MoleculeCreated.metadata, MoleculeUpdated.metadata),
    },
)

projection(
    molecule_properties_computed,
    events=[MoleculePropertiesComputed],
    key={"molecule_id": entity_id},
    ends=[MoleculeDeleted],
)

projection(
    molecule_fingerprints,
    events=[MoleculeCreated, MoleculePropertiesComputed],
    key={"molecule_id": entity_id},
    only_with=MoleculeCreated.smiles,
    opens=[MoleculeCreated],
    ends=[MoleculeDeleted],
)

written_by(
    molecules,
    insert=MoleculeCreated,
    update=[MoleculeUpdated, MoleculeRemovedFromProject, MoleculeAddedToProject],
    delete=MoleculeDeleted,
    identified_by=["smiles", "identity_key", "charge", "multiplicity"],
)

written_by(molecule_properties_computed, insert=MoleculePropertiesComputed)
