"""Check that this machine can run an engine, before anything is recorded."""

from quantum_forge.runner.engines import tblite as tblite
from quantum_forge.runner.engines.methods import TBLITE, XTB
from quantum_forge.runner.engines.xtb import program as xtb
from quantum_forge.runner.molecules.geometry import Geometry

HYDROGEN = Geometry((1, 1), ((0.0, 0.0, 0.0), (0.0, 0.0, 0.74)))


def try_out(
    method: str,
    solvent: str | None,
    *,
    engine: str = TBLITE,
    optimization_level: str | None = None,
) -> None:
    """Run an engine on H2.

    Raises:
        InputError: for a method or solvent that it does not have.
        EngineError: when it does not work at all.
        ProgramMissing: when it is not installed.
    """
    if engine == XTB:
        xtb.run(HYDROGEN, method=method, solvent=solvent)
    elif optimization_level is not None:
        # Without --opt, ASE need not be installed.
        from quantum_forge.runner.engines.optimization import optimise

        optimise(HYDROGEN, level=optimization_level, method=method, solvent=solvent)
    else:
        tblite.run_singlepoint(HYDROGEN, method=method, solvent=solvent)


def program_version(engine: str) -> str:
    """Return the version of an engine as it is installed."""
    return xtb.version() if engine == XTB else tblite.version()
