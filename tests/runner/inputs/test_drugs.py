"""The example file is what the demo promises: all run, but for two deliberately bad lines."""

from pathlib import Path
from uuid import uuid4

from quantum_forge.runner.engines.tasks import Completed, Task
from quantum_forge.runner.errors import InputError
from quantum_forge.runner.inputs.files import read_inputs
from quantum_forge.runner.molecules.identity import Molecule, identify
from quantum_forge.runner.workers.pool import WorkerPool

DRUGS = Path(__file__).parents[3] / "examples" / "drugs.smi"


def test_all_drugs_run_and_exactly_two_lines_are_refused() -> None:
    molecules: list[Molecule] = []
    refused: list[str] = []
    for source in read_inputs(DRUGS):
        try:
            molecules.append(identify(source))
        except InputError as error:
            refused.append(error.reason)
    assert refused == [
        "unclosed ring",
        "Explicit valence for atom # 1 C, 5, is greater than permitted",
    ]
    assert len(molecules) >= 40
    assert len({molecule.inchikey for molecule in molecules}) == len(molecules)
    assert all(molecule.name for molecule in molecules)

    outcomes = []
    with WorkerPool(2) as pool:
        for molecule in molecules:
            pool.submit(Task(id=uuid4(), smiles=molecule.smiles, timeout_s=60))
        while arrived := pool.wait(timeout=60):
            outcomes.extend(arrived)

    assert len(outcomes) == len(molecules)
    assert all(isinstance(outcome, Completed) for outcome in outcomes)
