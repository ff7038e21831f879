"""Molecules of jobs, identified once each."""

from collections.abc import Hashable
from contextlib import suppress
from typing import NamedTuple

from msgspec.structs import replace

from quantum_forge.runner.errors import InputError
from quantum_forge.runner.jobs.reading.job import Job
from quantum_forge.runner.molecules.identity import Molecule, identify
from quantum_forge.runner.molecules.records import Input

REMEMBERED = 5_000


class _Refused(NamedTuple):
    """What an InputError says; itself, it would keep the frames that it went through, and jobs."""

    reason: str
    code: str


class Identities:
    """Remembers the molecules that it was asked for last, those that are none among them."""

    def __init__(self) -> None:
        self._known: dict[Hashable, Molecule | _Refused] = {}

    def of(self, job: Job) -> Molecule:
        """Return the molecule of a job, or raise InputError with the reason.

        It is that of the SMILES, whose atoms must be those of the geometry; its `contradiction` is
        why the geometry has other bonds. Without a SMILES the
        bonds are perceived, in the geometry that was given, or else in the one it became; where
        none can be perceived in either, the molecule is that of the given geometry's connectivity.
        """
        source = job.source
        try:
            molecule = self._identified(source)
        except InputError as error:
            if error.code == "IMPOSSIBLE_MULTIPLICITY":
                # The molecule is there, whatever was asked of it; physics judges the result.
                molecule = self._identified(replace(source, multiplicity=None))
            else:
                raise
        if molecule.smiles is None and job.geometry not in (None, source.geometry):
            became = replace(
                source, geometry=job.geometry, multiplicity=molecule.stated_multiplicity
            )
            with suppress(InputError):
                perceived = self._identified(became)
                if perceived.smiles is not None:
                    molecule = perceived
        return replace(molecule, name=source.name)

    def _identified(self, source: Input) -> Molecule:
        geometry = source.geometry
        key: Hashable
        if source.smiles is None:
            key = (geometry and geometry.xyz_sha256, source.charge, source.multiplicity)
        else:
            key = (
                source.smiles,
                geometry and geometry.xyz_sha256,
                source.charge,
                source.multiplicity,
            )
        found = self._known.get(key)
        if found is None:
            try:
                found = identify(source, imported=True)
            except InputError as error:
                found = _Refused(error.reason, error.code)
            if len(self._known) >= REMEMBERED:
                self._known.clear()
            self._known[key] = found
        if isinstance(found, _Refused):
            raise InputError(found.reason, code=found.code)
        return found
