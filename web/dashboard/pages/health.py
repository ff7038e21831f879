"""Health: the checks of `qforge doctor`, for whoever runs the server, when they ask for them."""

from quantum_forge.eventstore.doctor.checks import Finding, Level
from quantum_forge.eventstore.doctor.examination import examine_database
from quantum_forge.projections.operate.checks import CHECKS
from quantum_forge.schema.domains.users import Role
from quantum_forge.web.dashboard.panels import Asked, Page, Panel
from quantum_forge.web.rest.errors import RestError

_WORST_FIRST = {Level.PROBLEM: 0, Level.WARNING: 1, Level.OK: 2}


def _findings(asked: Asked) -> list[Finding]:
    """Every finding, the worst first; by the login of the server, which sees every tenant.

    Raises:
        RestError: 403 for an admin of a tenant.
    """
    if not asked.caller.is_operator:
        raise RestError(
            403,
            "42501",
            "permission denied: the checks are for whoever runs the server",
            hint="Run qforge doctor, or open the dashboard by qforge ui, on its machine.",
        )
    found = examine_database(asked.server.engine, more=CHECKS)
    return sorted(found, key=lambda finding: _WORST_FIRST[finding.level])


HEALTH = Page(
    path="/health",
    title="Health",
    needs=Role.ADMIN,
    in_navigation=False,
    panels=(
        Panel(
            name="checks",
            title="Checks of qforge doctor",
            read=_findings,
            template="health/checks.html",
            several=True,
        ),
    ),
)
