"""Result of a calculation, common to all engines."""

import msgspec

from quantum_forge.runner.molecules.geometry import Position

# CODATA 2018.
HARTREE_EV = 27.211386245988
ATOMIC_DIPOLE_DEBYE = 2.541746473


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """What a program calls a result, not yet judged by `physics.refusal`.

    energy Eh; homo, lumo, gap eV (None where there is no such orbital); dipole Debye; charges e and
    gradient Eh/Bohr per atom, in the order of the geometry; gradient_norm Eh/Bohr, over all
    components; times s; memory MB. `electron_count` is the electrons in the calculation's orbitals
    (valence only), `orbital_count` those orbitals. `charge` and `multiplicity` are as asked for.
    `scf_iterations` are those of the last self-consistent field, `optimization_cycles` the steps of
    the geometry optimisation (None for a single point); `is_converged` speaks of both. What else is
    None the program did not tell.
    """

    method: str
    solvent: str | None
    charge: int
    multiplicity: int
    energy: float
    homo: float | None = None
    lumo: float | None = None
    gap: float | None = None
    dipole: float | None = None
    charges: tuple[float, ...] | None = None
    gradient: tuple[Position, ...] | None = None
    gradient_norm: float | None = None
    electron_count: float | None = None
    orbital_count: int | None = None
    scf_iterations: int | None = None
    optimization_cycles: int | None = None
    is_converged: bool
    wall_time_seconds: float | None = None
    cpu_time_seconds: float | None = None
    memory_peak_mb: float | None = None
    program: str
    program_version: str
    stdout_log: str = ""

    def forces(self) -> tuple[Position, ...] | None:
        """Return the force on each atom in Eh/Bohr: the negative gradient."""
        if self.gradient is None:
            return None
        return tuple((0.0 - x, 0.0 - y, 0.0 - z) for x, y, z in self.gradient)
