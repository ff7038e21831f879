"""Whether this machine can compute what was asked for, found out before anything is recorded."""

from runner.engine import run_singlepoint
from runner.geometry import Geometry

HYDROGEN = Geometry((1, 1), ((0.0, 0.0, 0.0), (0.0, 0.0, 0.74)))


def try_out(method: str, solvent: str | None) -> None:
    """Run the engine on H2.

    Raises:
        InputError: for a method or solvent that it does not have.
        EngineError: when it does not work at all.
    """
    run_singlepoint(HYDROGEN, method=method, solvent=solvent)
