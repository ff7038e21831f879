"""Read models of drug discovery."""

from sqlalchemy import BigInteger, Double, Index, Text, Uuid
from sqlalchemy.dialects.postgresql import JSONB

from quantum_forge.schema.language.table import check, column, read_model

projects = read_model(
    "projects",
    "One row per project",
    [column("id", Uuid, "The project")],
    column("user_id", Uuid, "Who created it"),
    column("name", Text, "What people call it", required=True),
    column("description", Text, "What it is about"),
    column("disease_target", Text, "What it is to treat or bind, in words"),
    column("molecule_count", BigInteger, "Molecules in it", required=True),
    column("prediction_count", BigInteger, "ADMET predictions in it", required=True),
    column("structure_count", BigInteger, "Protein structures in it", required=True),
    column("docking_count", BigInteger, "Docking results in it", required=True),
    Index("projects_name_idx", "tenant_id", "name"),
    Index("projects_user_idx", "tenant_id", "user_id"),
)

admet_predictions = read_model(
    "admet_predictions",
    "One row per prediction of absorption, distribution, metabolism, excretion or toxicity",
    [column("id", Uuid, "The prediction")],
    column("molecule_id", Uuid, "Of which molecule", required=True),
    column("project_id", Uuid, "Project that it belongs to"),
    column("user_id", Uuid, "Who asked for it"),
    column(
        "prediction_type",
        Text,
        "absorption, distribution, metabolism, excretion or toxicity",
        required=True,
    ),
    column("results", JSONB, "As the model gave them", required=True),
    column("confidence_score", Double, "How sure the model is, from 0 to 1"),
    column("model_version", Text, "Model and version that predicted it", required=True),
    check(
        "prediction_type_is_known",
        "prediction_type IN ('absorption', 'distribution', 'metabolism', 'excretion', 'toxicity')",
    ),
    check("confidence_is_a_fraction", "confidence_score BETWEEN 0 AND 1"),
    Index("admet_predictions_molecule_idx", "tenant_id", "molecule_id", "prediction_type"),
    Index("admet_predictions_project_idx", "tenant_id", "project_id"),
)

protein_structures = read_model(
    "protein_structures",
    "One row per structure of a protein; the file itself is elsewhere",
    [column("id", Uuid, "The structure")],
    column("project_id", Uuid, "Project that it belongs to"),
    column("user_id", Uuid, "Who added it"),
    column("sequence", Text, "Amino acids in one-letter code", required=True),
    column("pdb_id", Text, "Its entry in the Protein Data Bank"),
    column("pdb_file_s3_key", Text, "Where the file is"),
    column("structure_method", Text, "ESMFold, RCSB or AlphaFold", required=True),
    check("structure_method_is_known", "structure_method IN ('ESMFold', 'RCSB', 'AlphaFold')"),
    Index("protein_structures_project_idx", "tenant_id", "project_id"),
    Index("protein_structures_pdb_idx", "tenant_id", "pdb_id"),
)

docking_results = read_model(
    "docking_results",
    "One row per docking of a molecule to a protein",
    [column("id", Uuid, "The docking")],
    column("molecule_id", Uuid, "Which molecule", required=True),
    column("protein_id", Uuid, "To which protein structure", required=True),
    column("project_id", Uuid, "Project that it belongs to"),
    column("user_id", Uuid, "Who asked for it"),
    column(
        "binding_affinity",
        Double,
        "Binding affinity in kcal/mol, the lower the stronger",
        required=True,
    ),
    column("binding_pose_s3_key", Text, "Where the pose is"),
    column("interactions", JSONB, "Hydrogen bonds, contacts, … as the program gave them"),
    Index("docking_results_molecule_idx", "tenant_id", "molecule_id"),
    Index("docking_results_protein_idx", "tenant_id", "protein_id", "binding_affinity"),
    Index("docking_results_project_idx", "tenant_id", "project_id"),
)
