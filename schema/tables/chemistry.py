"""Read models of molecules and calculations."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Double,
    Index,
    Integer,
    Text,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from quantum_forge.schema.language.table import TIMESTAMP, check, column, derived, read_model

molecules = read_model(
    "molecules",
    "One row per molecule: canonical SMILES or connectivity, charge and multiplicity",
    [column("id", Uuid, "uuid5 of tenant, SMILES or identity_key, charge and multiplicity")],
    column("smiles", Text, "Canonical SMILES; null for what is known by its identity_key"),
    column("name", Text, "A name that people gave it"),
    column("formula", Text, "Molecular formula in Hill order", required=True),
    column("inchikey", Text, "InChIKey; merges tautomers, so never an identity"),
    column("charge", Integer, "Total charge in e", required=True),
    column("multiplicity", Integer, "Spin multiplicity 2S+1", required=True),
    column("molecular_weight", Double, "Molecular weight in g/mol", required=True),
    column("generation_method", Text, "manual, imported, MolGAN, …", required=True),
    column("project_id", Uuid, "Project that it belongs to"),
    column("user_id", Uuid, "Who created it"),
    column("toolkit", Text, "What canonicalised the SMILES or made the key", required=True),
    column("toolkit_version", Text, "Version of that toolkit", required=True),
    column(
        "completed_calculation_count",
        BigInteger,
        "Times that one of its calculations completed",
        required=True,
    ),
    column(
        "retracted_calculation_count",
        BigInteger,
        "Completed results that were invalidated later",
        required=True,
    ),
    derived(
        "calculation_count",
        BigInteger,
        "completed_calculation_count - retracted_calculation_count",
        "Completed calculations that still count",
    ),
    column(
        "failed_calculation_count", BigInteger, "Attempts that failed or were lost", required=True
    ),
    column("identity", Text, "Identified first by given, perceived or geometry", added=True),
    column("identity_key", Text, "Key of the connectivity; null with a SMILES", added=True),
    check("identity_is_known", "identity IN ('given', 'perceived', 'geometry')"),
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
    Index("molecules_created_idx", "tenant_id", "created_at"),
    Index(
        "molecules_project_idx",
        "tenant_id",
        "project_id",
        postgresql_where=text("project_id IS NOT NULL"),
    ),
    metadata=True,
)

calculations = read_model(
    "calculations",
    "One row per calculation: a molecule with a method and its settings",
    [column("id", Uuid, "uuid5 of molecule and settings")],
    column("molecule_id", Uuid, "Its molecule; null when the input could not be read as one"),
    column(
        "batch_id",
        Uuid,
        "The batch that last ran it; its batches are in batch_items",
    ),
    column("user_id", Uuid, "Who last asked for it"),
    column(
        "status", Text, "pending, running, completed, failed, lost or invalidated", required=True
    ),
    column("attempt", Integer, "Number of the latest attempt, from 1; 0 while none has begun"),
    column("method", Text, "GFN2-xTB, GFN1-xTB or IPEA1-xTB"),
    column("solvation_model", Text, "Implicit solvation as model(solvent); null in the gas phase"),
    column(
        "optimization_level", Text, "Level of the geometry optimisation; null for a single point"
    ),
    column("charge", Integer, "Total charge in e"),
    column("multiplicity", Integer, "Spin multiplicity 2S+1"),
    column("program", Text, "Program that computed it"),
    column("program_version", Text, "Version of that program"),
    column("xyz_sha256", Text, "SHA-256 of the geometry in XYZ format"),
    column("energy", Double, "Total energy in Eh"),
    column("homo", Double, "Energy of the highest occupied orbital in eV"),
    column("lumo", Double, "Energy of the lowest unoccupied orbital in eV"),
    column("gap", Double, "lumo − homo in eV"),
    column("dipole", Double, "Norm of the dipole moment in Debye"),
    column("convergence_status", Text, "How the calculation converged"),
    column("execution_time_seconds", Double, "Wall time of the latest attempt in s"),
    column("started_at", TIMESTAMP, "When the latest attempt began"),
    column("completed_at", TIMESTAMP, "When the latest attempt ended, well or badly"),
    column("error_type", Text, "Why the latest attempt failed"),
    column("error_message", Text, "What the latest failure said"),
    column(
        "identity", Text, "How its molecule was identified: given, perceived, geometry", added=True
    ),
    column("charge_source", Text, "Whether the charge was given or assumed", added=True),
    column("multiplicity_source", Text, "Whether multiplicity was given or assumed", added=True),
    column("warnings", JSONB, "Why what was assumed may be wrong, as a list of texts", added=True),
    column(
        "geometry_source",
        Text,
        "How the structure was made, as ETKDGv3+MMFF94; null for a given geometry",
        added=True,
    ),
    column("geometry_warning", Text, "Why a structure so made is doubtful", added=True),
    column("max_force", Double, "Largest force on an atom in Eh/Bohr", added=True),
    check("identity_is_known", "identity IN ('given', 'perceived', 'geometry')"),
    check("charge_source_is_known", "charge_source IN ('given', 'assumed')"),
    check("multiplicity_source_is_known", "multiplicity_source IN ('given', 'assumed')"),
    check(
        "status_is_known",
        "status IN ('pending', 'running', 'completed', 'failed', 'lost', 'invalidated')",
    ),
    check(
        "energy_is_finite", "energy BETWEEN '-1.7976931348623157e308' AND '1.7976931348623157e308'"
    ),
    Index("calculations_molecule_idx", "tenant_id", "molecule_id", "started_at"),
    Index("calculations_status_idx", "tenant_id", "status"),
    Index("calculations_method_idx", "tenant_id", "method"),
    Index("calculations_batch_idx", "tenant_id", "batch_id"),
    Index("calculations_energy_idx", "tenant_id", "energy"),
    Index("calculations_gap_idx", "tenant_id", "gap"),
    Index("calculations_started_idx", "tenant_id", "started_at"),
    # What a training set is made of: results that count.
    Index(
        "calculations_completed_gap_idx",
        "tenant_id",
        "gap",
        postgresql_where=text("status = 'completed'"),
    ),
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
    column("computed_at", TIMESTAMP, "When they were computed", required=True),
    Index("molecule_properties_computed_weight_idx", "tenant_id", "molecular_weight", "logp"),
    Index("molecule_properties_computed_logp_idx", "tenant_id", "logp"),
)

atomic_properties = read_model(
    "atomic_properties",
    "One row per atom of a completed calculation",
    [
        column("calculation_id", Uuid, "Its calculation"),
        column("atom_index", Integer, "Place of the atom in the geometry, from 0"),
    ],
    column("element", Text, "Element symbol", required=True),
    column("atomic_number", Integer, "Atomic number", required=True),
    column("partial_charge", Double, "Partial charge in e"),
    column("position_x", Double, "x in Å", required=True),
    column("position_y", Double, "y in Å", required=True),
    column("position_z", Double, "z in Å", required=True),
    column("force_x", Double, "Force along x (−gradient) in Eh/Bohr"),
    column("force_y", Double, "Force along y (−gradient) in Eh/Bohr"),
    column("force_z", Double, "Force along z (−gradient) in Eh/Bohr"),
    check("atom_index_is_not_negative", "atom_index >= 0"),
    check("atomic_number_is_positive", "atomic_number > 0"),
)

calculation_execution_metrics = read_model(
    "calculation_execution_metrics",
    "One row per calculation: what it cost and how it converged",
    [column("calculation_id", Uuid, "Its calculation")],
    column("xtb_version", Text, "Program and version that computed it"),
    column("method", Text, "GFN2-xTB, GFN1-xTB or IPEA1-xTB"),
    column("solvation_model", Text, "Implicit solvation as model(solvent)"),
    column("optimization_level", Text, "Level of the geometry optimisation"),
    column("wall_time_seconds", Double, "Wall time in s"),
    column("cpu_time_seconds", Double, "Processor time in s"),
    column("scf_cycles", Integer, "Self-consistent-field iterations"),
    column("optimization_cycles", Integer, "Steps of the geometry optimisation"),
    column("convergence_iterations", Integer, "Iterations until convergence, all in all"),
    column("memory_peak_mb", Double, "Peak memory in MB"),
    column("is_converged", Boolean, "Whether it converged"),
    column("convergence_criterion_met", Double, "Norm of the gradient in Eh/Bohr"),
    column("stdout_log", Text, "What the program printed"),
    column("stderr_log", Text, "What the program printed on stderr"),
    Index("calculation_execution_metrics_method_idx", "tenant_id", "method", "created_at"),
)

calculation_errors = read_model(
    "calculation_errors",
    "One row per failed or lost attempt",
    [column("id", BigInteger, "Position of the event that recorded it")],
    column("calculation_id", Uuid, "The calculation that failed", required=True),
    column("molecule_id", Uuid, "Its molecule; null when the input could not be read as one"),
    column("error_type", Text, "Why, as one of the known types", required=True),
    column("error_severity", Text, "info, warning, error or critical", required=True),
    column("error_message", Text, "What went wrong, for a person", required=True),
    column("error_code", Text, "The program's own code, if it has one"),
    column("stack_trace", Text, "Where it went wrong"),
    column("retry_count", Integer, "Earlier attempts that failed"),
    column("retry_attempts", JSONB, "What is known of the earlier attempts"),
    column("user_action_required", Boolean, "Whether only a person can help"),
    column("resolution_notes", Text, "How it was dealt with"),
    column("resolved_at", TIMESTAMP, "When it was dealt with"),
    check(
        "error_type_is_known",
        "error_type IN ('input_error', 'convergence_error', 'timeout', 'resource_error',"
        " 'random_error', 'compute_lost', 'unknown_error')",
    ),
    check("error_severity_is_known", "error_severity IN ('info', 'warning', 'error', 'critical')"),
    Index("calculation_errors_type_idx", "tenant_id", "error_type", "created_at"),
    Index("calculation_errors_calculation_idx", "tenant_id", "calculation_id"),
)
