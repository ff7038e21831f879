"""The pages of the log: events, and the audit trail; whose they are to see, and their filters."""

import csv
import io

from tests.web.dashboard.conftest import Signed


def test_events_are_filtered_by_the_address(signed_in: dict[str, Signed]) -> None:
    """Of the own tenant, without secrets; the same events are exported."""
    bob, ada, eve = signed_in["bob"], signed_in["ada"], signed_in["eve"]
    page = bob.page("/log?type=calculation_failed,calculation_lost")
    assert "calculation_lost</a>" in page
    assert "molecule_created" not in page
    assert "no convergence after 250 iterations" in page
    assert "Export" not in page
    assert "Export" in ada.page("/log?type=calculation_failed")
    exported = ada.http.get(
        "/export/event_logs.csv?select=event_type&event_type=in.(molecule_deleted)"
    )
    assert set(exported.text.split()) == {"event_type", "molecule_deleted"}

    users = bob.page("/log?type=user_registered")
    assert "ada@example.org" in users
    assert "zoe@example.org" not in users  # of another tenant
    assert "argon2" not in users
    assert "&#34;hashed_password&#34;:&#34;***&#34;" in users
    assert "No event fits" in bob.page("/log?since=1s&until=2099-01-01&user=nobody")
    for wrong in ("since=whenever", "entity_id=7", "before=-1", "type=no_such", "entity_type=no"):
        assert bob.http.get(f"/log?{wrong}").status_code == 400
    assert eve.http.get("/log").status_code == 403
    assert "No event fits" in bob.page("/log?before=1")


def test_the_audit_trail_has_values_before_and_after(signed_in: dict[str, Signed]) -> None:
    """Of everybody for an admin, else of oneself; taking it away is recorded."""
    ada, bob = signed_in["ada"], signed_in["bob"]
    project = bob.http.post(
        "/rest/v1/projects?select=id",
        json={"name": "Before"},
        headers={"X-CSRF-Token": _csrf(bob), "Prefer": "return=representation"},
    ).json()[0]["id"]
    changed = bob.http.patch(
        f"/rest/v1/projects?id=eq.{project}",
        json={"name": "After"},
        headers={"X-CSRF-Token": _csrf(bob)},
    )
    assert changed.status_code == 204, changed.text

    page = ada.page(f"/audit?entity={project}")
    assert "name: <code>&#34;Before&#34;</code> → <code>&#34;After&#34;</code>" in page
    assert page.count("<td>bob</td>") == 2
    assert "zoe" not in ada.page("/audit?action=login")
    mine = bob.page("/audit")
    assert "<td>bob</td>" in mine
    assert "<td>ada</td>" not in mine
    assert bob.http.get("/audit?user=ada").status_code == 403
    assert bob.http.get("/audit?user=nobody").status_code == 400
    assert ada.http.get("/audit?action=no-such").status_code == 400

    taken = ada.http.get(f"/audit.csv?entity={project}")
    assert taken.headers["content-disposition"] == 'attachment; filename="audit.csv"'
    rows = list(csv.DictReader(io.StringIO(taken.text)))
    assert [row["action"] for row in rows] == ["project_updated", "project_created"]
    assert "audit trail" in ada.page("/log?type=data_exported&user=ada")


def _csrf(who: Signed) -> str:
    return who.page("/").partition('name="csrf" value="')[2][:64]
