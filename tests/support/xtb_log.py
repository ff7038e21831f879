"""What xtb would have written for a made-up calculation: its log and xtbout.json, as 6.4 to 6.7 do.

Modelled on real output of 6.5.1 and 6.6.1, and on src/main/json.F90 of grimme-lab/xtb.
"""

import json
import random
from datetime import datetime, timedelta

import msgspec

from quantum_forge.runner.molecules.geometry import Geometry

VERSIONS = ("6.4.1", "6.5.1", "6.6.1", "6.7.1")

_VALENCE = {1: 1, 5: 3, 6: 4, 7: 5, 8: 6, 9: 7, 14: 4, 15: 5, 16: 6, 17: 7, 35: 7, 53: 7}
ELEMENTS = frozenset(_VALENCE)
"""Atomic numbers of molecules for which a calculation can be made up."""


class MadeUp(msgspec.Struct, kw_only=True):
    """A calculation that never ran, consistent with itself; units as xtb prints them."""

    geometry: Geometry
    charge: int
    unpaired: int
    method: str
    version: str
    solvent: str | None
    level: str | None
    energy: float
    orbitals: list[float]
    electrons: int
    charges: list[float]
    dipole: float
    gradient_norm: float
    gradient: list[tuple[float, float, float]]
    cycles: int
    wall: float
    began: datetime

    @property
    def occupied(self) -> int:
        """Orbitals with electrons of the majority spin."""
        return (self.electrons + self.unpaired) // 2

    @property
    def homo(self) -> float:
        """In eV."""
        return self.orbitals[self.occupied - 1]

    @property
    def lumo(self) -> float:
        """In eV."""
        return self.orbitals[self.occupied]

    @property
    def call(self) -> str:
        """The command line."""
        parts = ["xtb", "molecule.xyz", "--gfn", self.method[3], "--json"]
        parts += ["--opt", self.level] if self.level else ["--grad"]
        parts += ["--chrg", str(self.charge)] if self.charge else []
        parts += ["--uhf", str(self.unpaired)] if self.unpaired else []
        parts += ["--alpb", self.solvent] if self.solvent else []
        return " ".join(parts)


def made_up(
    draw: random.Random, geometry: Geometry, *, charge: int, unpaired: int, began: datetime
) -> MadeUp:
    """Make up a calculation at a geometry: settings, energies, charges that add up, times."""
    atoms = len(geometry)
    electrons = sum(_VALENCE[number] for number in geometry.numbers) - charge
    count = sum(1 if number == 1 else 4 for number in geometry.numbers)
    occupied = (electrons + unpaired) // 2
    homo = draw.uniform(-12.5, -8.5)
    filled = sorted(draw.uniform(homo - 14, homo) for _ in range(occupied - 1))
    empty = sorted(draw.uniform(homo + 2, homo + 40) for _ in range(max(1, count - occupied)))
    raw = [draw.gauss(0, 0.2) for _ in range(atoms)]
    mean = (sum(raw) - charge) / atoms
    charges = [round(value - mean, 8) for value in raw]
    charges[-1] = round(charges[-1] + charge - sum(charges), 8)
    gradient = [
        (draw.gauss(0, 2e-4), draw.gauss(0, 2e-4), draw.gauss(0, 2e-4)) for _ in range(atoms)
    ]
    return MadeUp(
        geometry=geometry,
        charge=charge,
        unpaired=unpaired,
        method=draw.choice(("GFN2-xTB", "GFN2-xTB", "GFN1-xTB")),
        version=draw.choice(VERSIONS),
        solvent=draw.choice((None, None, "water", "acetonitrile")),
        level=draw.choice((None, "normal", "tight")),
        energy=round(-0.57 * electrons + draw.uniform(-0.2, 0.2), 12),
        orbitals=[round(each, 8) for each in (*filled, homo, *empty)],
        electrons=electrons,
        charges=charges,
        dipole=round(draw.uniform(0.2, 8), 3),
        gradient_norm=sum(part * part for row in gradient for part in row) ** 0.5,
        gradient=gradient,
        cycles=draw.randint(4, 30),
        wall=round(draw.uniform(0.02, 30), 3),
        began=began,
    )


def json_text(run: MadeUp, **changed: object) -> str:
    """xtbout.json: from 6.7 on with spaces around the stroke."""
    new = run.version >= "6.7"
    unit = " / " if new else "/"
    dipole = "dipole / a.u." if new else "dipole"
    orbitals = len(run.orbitals)
    document: dict[str, object] = {
        "total energy": round(run.energy, 8),
        f"HOMO-LUMO gap{unit}eV": round(run.lumo - run.homo, 8),
        "electronic energy": round(run.energy * 1.01, 8),
        dipole: [0.0, 0.0, round(run.dipole / 2.541746473, 8)],
        "partial charges": run.charges,
    }
    if run.method == "GFN2-xTB":
        document["atomic dipole moments"] = [[0.01, -0.02, 0.03] for _ in run.charges]
        document["atomic quadrupole moments"] = [[0.1, 0.2, -0.3] * 2 for _ in run.charges]
    occupation = [2.0 if index < run.occupied else 0.0 for index in range(orbitals)]
    document |= {
        "number of molecular orbitals": orbitals,
        "number of electrons": run.electrons,
        "number of unpaired electrons": run.unpaired,
        f"orbital energies{unit}eV": run.orbitals,
        "fractional occupation": occupation,
        "program call": run.call,
        "method": run.method,
        "xtb version": f"{run.version} (unknown)",
    }
    return json.dumps(document | changed, indent=3) + "\n"


def log_text(run: MadeUp, *, converged: bool = True, error: str | None = None) -> str:
    """The captured output; with an error it stops where xtb stops."""
    parts = [_head(run)]
    if error is not None:
        return "".join([*parts, _ERROR.format(error=error)])
    parts.append(_scf(run, 9))
    if run.level:
        parts += [_OPTIMISER.format(level=run.level)]
        parts += [_cycle(run, number) for number in range(1, run.cycles + 1)]
        end = "CONVERGED AFTER" if converged else "FAILED TO CONVERGE"
        parts.append(
            f"\n   *** GEOMETRY OPTIMIZATION CONVERGED AFTER {run.cycles} ITERATIONS ***\n"
            if converged
            else f"\n   *** {end} GEOMETRY OPTIMIZATION IN {run.cycles} ITERATIONS ***\n"
        )
        parts.append(_scf(run, 3))
    parts.append(_tail(run))
    return "".join(parts)


STDERR = """Note: The following floating-point exceptions are signalling: IEEE_DENORMAL
normal termination of xtb
"""
ABNORMAL = """ERROR STOP

Error termination. Backtrace:
#0  0x7f2b2 in ???
abnormal termination of xtb
"""


def optimised_text(run: MadeUp) -> str:
    """xtbopt.xyz."""
    comment = (
        f" energy: {run.energy:.12f} gnorm: {run.gradient_norm:.12f} xtb: {run.version} (unknown)"
    )
    return run.geometry.xyz_text(comment)


def charges_text(run: MadeUp) -> str:
    """The file `charges`."""
    return "".join(f"{charge:14.8f}\n" for charge in run.charges)


def gradient_text(run: MadeUp) -> str:
    """The file `gradient`, in Bohr."""
    lines = [
        "$grad",
        f"  cycle =      1    SCF energy = {run.energy:18.11f}"
        f"   |dE/dxyz| = {run.gradient_norm:9.6f}",
    ]
    for symbol, position in zip(run.geometry.elements(), run.geometry.positions, strict=True):
        x, y, z = (part / 0.529177210903 for part in position)
        lines.append(f"  {x:18.14f}    {y:18.14f}    {z:18.14f}      {symbol:<2}")
    lines += [f"  {x:.13E}  {y:.13E}  {z:.13E}" for x, y, z in run.gradient]
    return "\n".join([*lines, "$end", ""])


def _head(run: MadeUp) -> str:
    solvation = _SOLVATION.format(solvent=run.solvent) if run.solvent else ""
    return _BANNER.format(version=run.version, began=_stamp(run.began), call=run.call) + solvation


def _scf(run: MadeUp, iterations: int) -> str:
    rows = "".join(
        f"  {number:2}   {run.energy * 1.01:12.7f} -0.120933E-02  0.244E+00"
        f"   {run.lumo - run.homo:5.2f}       1.0  T\n"
        for number in range(1, iterations + 1)
    )
    return _SETUP.format(
        shells=len(run.geometry),
        orbitals=len(run.orbitals),
        electrons=run.electrons,
        method=run.method,
        solvated="true" if run.solvent else "false",
        rows=rows,
        iterations=iterations,
    ) + _orbitals(run)


def _orbitals(run: MadeUp) -> str:
    lines = []
    first = max(0, run.occupied - 7)
    for index in range(first, min(len(run.orbitals), run.occupied + 6)):
        occupation = "2.0000" if index < run.occupied else "      "
        mark = {run.occupied - 1: " (HOMO)", run.occupied: " (LUMO)"}.get(index, "")
        eV = run.orbitals[index]  # noqa: N806 - the unit
        lines.append(
            f"  {index + 1:8}        {occupation}      {eV / 27.2114:14.7f}      {eV:14.4f}{mark}"
        )
    return _TABLE.format(rows="\n".join(lines))


def _cycle(run: MadeUp, number: int) -> str:
    return _CYCLE.format(number=number, energy=run.energy, gap=run.lumo - run.homo)


def _tail(run: MadeUp) -> str:
    gfn2 = run.method == "GFN2-xTB"
    dipole = _DIPOLE_GFN2 if gfn2 else _DIPOLE_GFN1
    rows = "".join(
        f"{index + 1:6} {number:3} {symbol:<2}       1.611{charge:10.3f}    24.340     6.659\n"
        for index, (number, symbol, charge) in enumerate(
            zip(run.geometry.numbers, run.geometry.elements(), run.charges, strict=True)
        )
    )
    return (
        _SUMMARY.format(
            energy=run.energy,
            norm=run.gradient_norm,
            gap=run.lumo - run.homo,
            charge=float(run.charge),
        )
        + _orbitals(run)
        + "\n     #   Z          covCN         q      C6AA      α(0)\n"
        + rows
        + dipole.format(z=run.dipole / 2.541746473, dipole=run.dipole)
        + _BOX.format(
            energy=run.energy,
            norm=run.gradient_norm,
            gap=run.lumo - run.homo,
            ended=_stamp(run.began + timedelta(seconds=run.wall)),
            wall=run.wall,
            cpu=run.wall * 0.98,
        )
    )


def _stamp(moment: datetime) -> str:
    return f"{moment:%Y/%m/%d} at {moment:%H:%M:%S}.{moment.microsecond // 1000:03}"


_RULE = "      -----------------------------------------------------------      \n"
_BANNER = (
    _RULE
    + """     |                           x T B                           |
     |                         S. Grimme                         |
     |          Mulliken Center for Theoretical Chemistry        |
     |                    University of Bonn                     |
"""
    + _RULE
    + """
   * xtb version {version} (unknown) compiled by 'builduser@buildhost' on 2022-12-09

"""
    + "   (licence, citations and the names of those who helped)\n" * 60
    + """
 * started run on {began}

           -------------------------------------------------
          |                Calculation Setup                |
           -------------------------------------------------

          program call               : {call}
          coordinate file            : molecule.xyz
          omp threads                :                     1

      * Hamiltonian:
        H0-scaling (s, p, d)           1.850000    2.230000    2.230000
        zeta-weighting                 0.500000
"""
)
_SOLVATION = """
      * Solvation model:               ALPB
        Solvent                        {solvent}
        Dielectric constant                8.0200E+01
        Solvent mass                       1.8000E+01 g/mol
"""
_SETUP = """
          ...................................................
          :                      SETUP                      :
          :.................................................:
          :  # basis functions          {orbitals:10}          :
          :  # atomic orbitals          {orbitals:10}          :
          :  # shells                   {shells:10}          :
          :  # electrons                {electrons:10}          :
          :  max. iterations                   250          :
          :  Hamiltonian                  {method}          :
          :  restarted?                      false          :
          :  GBSA solvation                 {solvated:>6}          :
          :  electronic temp.          300.0000000     K    :
          :  accuracy                    1.0000000          :
          ...................................................

 iter      E             dE          RMSdq      gap      omega  full diag
{rows}
   *** convergence criteria satisfied after {iterations} iterations ***
"""
_TABLE = """
         #    Occupation            Energy/Eh            Energy/eV
      -------------------------------------------------------------
       ...           ...                  ...                  ...
{rows}
       ...                                ...                  ...
      -------------------------------------------------------------
"""
_OPTIMISER = """
     |                        A N C O P T                        |
          :   optimization level          {level:>8}          :
          :   max. optcycles                   200          :
"""
_CYCLE = """
........................................................................
.............................. CYCLE  {number:3} ..............................
........................................................................
   1    {energy:12.7f} -0.510486E+01  0.810E-03   {gap:5.2f}       0.0  T
   2    {energy:12.7f} -0.163385E-07  0.429E-03   {gap:5.2f}      13.5  T
   3    {energy:12.7f} -0.264094E-08  0.115E-03   {gap:5.2f}      50.0  T
     SCC iter.                  ...        0 min,  0.000 sec
     gradient                   ...        0 min,  0.000 sec
 * total energy  :  {energy:12.7f} Eh     change       -0.3928214E-06 Eh
   gradient norm :     0.0003813 Eh/α   predicted    -0.4685161E-06 (  19.27%)
"""
_SUMMARY = """
         :::::::::::::::::::::::::::::::::::::::::::::::::::::
         ::                     SUMMARY                     ::
         :::::::::::::::::::::::::::::::::::::::::::::::::::::
         :: total energy        {energy:18.12f} Eh    ::
         :: gradient norm       {norm:18.12f} Eh/a0 ::
         :: HOMO-LUMO gap       {gap:18.12f} eV    ::
         ::.................................................::
         :: add. restraining           0.000000000000 Eh    ::
         :: total charge        {charge:18.12f} e     ::
         :::::::::::::::::::::::::::::::::::::::::::::::::::::
"""
_DIPOLE_GFN2 = """
molecular dipole:
                 x           y           z       tot (Debye)
 q only:        0.000      -0.000      -0.622
   full:        0.000       0.000    {z:8.3f}    {dipole:8.3f}
molecular quadrupole (traceless):
                xx          xy          yy          xz          yz          zz
   full:       -1.247       0.000       1.421      -0.000      -0.000      -0.173
"""
_DIPOLE_GFN1 = """
 dipole moment from electron density (au)
     X       Y       Z
   0.0000   0.0000  {z:7.4f}  total (Debye): {dipole:8.3f}
"""
_BOX = """
           -------------------------------------------------
          | TOTAL ENERGY         {energy:18.12f} Eh   |
          | GRADIENT NORM        {norm:18.12f} Eh/α |
          | HOMO-LUMO GAP        {gap:18.12f} eV   |
           -------------------------------------------------

------------------------------------------------------------------------
 * finished run on {ended}
------------------------------------------------------------------------
 total:
 * wall-time:     0 d,  0 h,  0 min, {wall:6.3f} sec
 *  cpu-time:     0 d,  0 h,  0 min, {cpu:6.3f} sec
 * ratio c/w:     0.968 speedup
 SCF:
 * wall-time:     0 d,  0 h,  0 min,  0.001 sec
 *  cpu-time:     0 d,  0 h,  0 min,  0.001 sec
"""
_ERROR = """
########################################################################
[ERROR] Program stopped due to fatal error
-2- Single point calculation terminated
-1- {error}
########################################################################
"""
