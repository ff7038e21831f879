"""The example file is what the demo promises: all run, but for two deliberately bad lines."""

from pathlib import Path
from uuid import uuid4

from runner.errors import InputError
from runner.inputs import read_inputs
from runner.molecules import Molecule, identify
from runner.tasks import Completed, Task
from runner.workers import WorkerPool

DRUGS = Path(__file__).parents[1] / "examples" / "drugs.smi"


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
