"""Methods of a forge that examine the installation."""

from typing import TYPE_CHECKING

from quantum_forge.door import Door

if TYPE_CHECKING:
    from quantum_forge.eventstore.doctor.checks import Finding
    from quantum_forge.projections.operate.status import Status


def status(forge: Door, *, exact: bool = False) -> "Status":
    """Return the state of server, log, read models and queue, as `qforge status` prints it.

    Args:
        exact: count the events of a long log instead of estimating, however long it takes.
    """
    from quantum_forge.projections.operate.status import read_status

    return read_status(forge.engine, forge.author.tenant_id, exact=exact)


def doctor(forge: Door, *, thorough: bool = False) -> "list[Finding]":
    """Examine the database and return a finding per check, each problem with its remedy.

    Args:
        thorough: look at every stream instead of a sample, however long it takes.
    """
    from quantum_forge.eventstore.doctor.examination import examine_database
    from quantum_forge.projections.operate.checks import CHECKS

    return list(examine_database(forge.engine, more=CHECKS, thorough=thorough))
