"""Plan of a campaign: the settings that its calculations share, and their ids."""

import socket
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec

from quantum_forge.runner.engines.methods import TBLITE, XTB
from quantum_forge.runner.molecules.geometry import Geometry
from quantum_forge.schema.domains.batches import batch_id
from quantum_forge.schema.language.identity import natural_id

EMBEDDED = "ETKDGv3+MMFF94/UFF"
"""Stands for the geometry of a molecule that came without one, by the usual seed or the plan's own.

It names the procedure: a calculation whose structure is made in another way is another one.
"""

TURNED_XTB = "xtb, rotated"
"""Stands for a calculation of xtb in an orientation in which its gradient is right.

Those that were calculated in the orientation of the input, by the name `xtb`, are other ones.
"""


def source_of(file: Path) -> str:
    """What identifies a file among those of all hosts: `host:/path`, without symbolic links.

    Not its content, which grows: a file that has grown resumes its batch.
    """
    return f"{socket.gethostname()}:{file.resolve()}"


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """Settings of a campaign.

    batch, source: what people call it, and the file whose batch it is as `source_of` gives it; None
    for a batch that any file can join. charge (e) and multiplicity (2S + 1) are for inputs that do
    not state them. timeout_seconds is for one attempt, in s. seed: of the structures that are made
    from a SMILES; None for the usual one. project_id: that the molecules join.
    """

    batch: str
    source: str | None = None
    method: str = "GFN2-xTB"
    charge: int | None = None
    multiplicity: int | None = None
    solvent: str | None = None
    timeout_seconds: float = 300.0
    engine: str = TBLITE
    optimization_level: str | None = None
    seed: int | None = None
    project_id: UUID | None = None

    @property
    def solvation_model(self) -> str | None:
        """The solvation as it is recorded: `ALPB(water)`."""
        return None if self.solvent is None else f"ALPB({self.solvent})"

    def parameters(self) -> dict[str, Any]:
        """The settings as a batch records them."""
        settings = msgspec.structs.asdict(self)
        del settings["source"], settings["project_id"]
        if self.seed is None:
            del settings["seed"]
        return settings

    def batch_id(self, tenant_id: UUID) -> UUID:
        """Id of the batch: the same for the same name, parameters and source."""
        return batch_id(tenant_id, self.batch, self.parameters(), self.source)

    def calculation_id(self, molecule_id: UUID, geometry: Geometry | None) -> UUID:
        """Id of a molecule's calculation at these settings, the same for everybody."""
        embedded = EMBEDDED if self.seed is None else f"{EMBEDDED}, seed {self.seed}"
        origin = embedded if geometry is None else geometry.xyz_sha256
        settings = (self.method, self.solvation_model, origin, *self._unusual())
        return natural_id("calculation", molecule_id, *settings)

    def unreadable_id(self, tenant_id: UUID, text: str) -> UUID:
        """Id of the calculation that an input would have been, had it been a molecule."""
        settings = (self.method, self.solvation_model, self.charge, self.multiplicity)
        return natural_id("unreadable", tenant_id, *settings, *self._unusual(), text)

    def _unusual(self) -> tuple[object, ...]:
        """What sets it apart from a single point with tblite, which was all there was at first."""
        usual = self.engine == TBLITE and self.optimization_level is None
        procedure = TURNED_XTB if self.engine == XTB else self.engine
        return () if usual else (procedure, self.optimization_level)
