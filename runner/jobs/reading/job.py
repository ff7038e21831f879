"""A job: what a folder says of one calculation that has ended."""

from datetime import datetime

import msgspec

from quantum_forge.runner.engines.failures import Failure
from quantum_forge.runner.engines.result import Result
from quantum_forge.runner.molecules.geometry import Geometry
from quantum_forge.runner.molecules.records import Input


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """One calculation that has ended, as its folder describes it.

    `source` is the molecule as it was given, with the charge and multiplicity asked for.
    `geometry` is the one that the result belongs to. Exactly one of `result` and `failure` is
    there; `refused` is why the result does not count: its files contradict each other, its geometry
    is not there, or physics does not accept it. `notes` tell what was disregarded.
    """

    job_id: str
    sha256: str
    source: Input
    geometry: Geometry | None
    began: datetime
    ended: datetime
    method: str
    solvation_model: str | None
    optimization_level: str | None
    program: str
    program_version: str
    timeout_seconds: float
    result: Result | None = None
    failure: Failure | None = None
    refused: str | None = None
    notes: tuple[str, ...] = ()
    stderr_log: str = ""

    @property
    def charge(self) -> int:
        """In e; 0 unless told otherwise."""
        return self.source.charge or 0

    @property
    def multiplicity(self) -> int | None:
        """2S + 1, where the job tells."""
        return self.source.multiplicity
