"""Molecules, calculations, search and performance: what the pages show is what the tables have."""

import re
from urllib.parse import quote
from uuid import uuid4

import msgspec

from quantum_forge.schema.domains.batches import BatchItem, BatchItemsAdded, BatchStarted
from quantum_forge.schema.language.event import Event
from tests.support.chemical_history import failed, happened, record, started
from tests.support.projecting import wait_until_projected
from tests.support.training_set import METHODS, MOLECULES, calculation_of
from tests.web.conftest import Served
from tests.web.dashboard.conftest import Signed

ETHANOL = MOLECULES[0]
DONE = calculation_of(ETHANOL, METHODS[0])


def rows_of(html: str, panel: str) -> list[str]:
    """The rows of the tables of a panel."""
    section = html.partition(f'data-panel="{panel}"')[2].partition("</section>")[0]
    return re.findall(r"<tr[ >].*?</tr>|<tr>.*?</tr>", section.partition("<tbody>")[2], re.DOTALL)


def test_molecules_are_found_by_text_substructure_and_similarity(
    signed_in: dict[str, Signed],
) -> None:
    """Each with its drawing, and links to its results; facets and ranges narrow them."""
    eve = signed_in["eve"]
    every = rows_of(eve.page("/molecules"), "rows")
    assert len(every) >= len(MOLECULES)
    for asked in (
        "q=OCC",
        "q=ethan",
        f"q={str(ETHANOL.id)[:8]}",
        "q=CC%5BOX2H1%5D&how=substructure",
    ):
        found = rows_of(eve.page(f"/molecules?{asked}"), "rows")
        assert any(f"/molecules/{ETHANOL.id}" in row for row in found)
        assert len(found) < len(every)
    (row,) = rows_of(eve.page("/molecules?q=OCC&how=similarity&threshold=0.9"), "rows")
    assert "1.000" in row
    drawing = re.search(r'src="(/drawing\.svg[^"]*)"', row)
    assert drawing is not None
    reply = eve.http.get(drawing[1].replace("&amp;", "&"))
    assert reply.headers["content-type"] == "image/svg+xml"
    assert reply.text.startswith("<svg")
    assert eve.http.get("/drawing.svg?smiles=nonsense").status_code == 404
    assert eve.http.get("/drawing.svg", params={"smiles": "C" * 201}).status_code == 404
    assert rows_of(eve.page("/molecules?q=nowhere"), "rows") == []
    assert rows_of(eve.page("/molecules?gap_from=1000"), "rows") == []
    page = eve.page("/molecules?generation_method=imported")
    assert "generation_method=imported" in page
    reply = eve.http.get("/molecules?q=c1&how=substructure")
    assert (reply.status_code, "unclosed ring" in reply.text) == (400, True)
    one = eve.page(f"/molecules/{ETHANOL.id}")
    assert f"/calculations/{DONE}" in one
    assert "Multiplicity 2S+1" in one
    assert eve.http.get(f"/molecules/{DONE}").status_code == 404


def test_calculations_are_filtered_counted_and_exported_alike(
    signed_in: dict[str, Signed],
) -> None:
    """The rows, the facets, the bars and the file have the same conditions."""
    eve = signed_in["eve"]
    failed = rows_of(eve.page("/calculations?status=failed&status=lost"), "rows")
    assert len(failed) >= 2
    page = eve.page("/calculations?status=completed&gap_from=0&method=GFN2-xTB")
    shown = rows_of(page, "rows")
    found = re.search(r'href="(/export/calculations\.csv[^"]*)"', page)
    assert found is not None
    exported = eve.http.get(found[1].replace("&amp;", "&")).text.strip().splitlines()
    assert len(shown) == len(exported) - 1 > 0
    bars = re.search(r"data-chart='?\"?([^>]*)", page)
    assert bars is not None
    heights = [
        int(each) for each in re.findall(r"&#34;values&#34;:\[([\d,]*)\]", page)[0].split(",")
    ]
    assert sum(heights) == len(shown)
    for address in ("?by=energy&sort=gap", "?ended_since=24h", "?page=2", "?error_type=timeout"):
        assert "<h1>" in eve.page(f"/calculations{address}")
    dataset = re.search(r'href="(/datasets[^"]*)"', page.partition('data-panel="rows"')[2])
    assert dataset is not None
    held = eve.page(dataset[1].replace("&amp;", "&"))
    assert "<dt>Calculations in it</dt><dd><a href" in held
    assert f">{len(shown) - 1}</a>" in held
    assert "its molecule was deleted" in held
    for wrong in ("?sort=colour", "?gap_from=x", "?batch_id=1", "?ended_since=whenever"):
        assert eve.http.get(f"/calculations{wrong}").status_code == 400


def test_a_calculation_shows_its_values_atoms_events_and_past(signed_in: dict[str, Signed]) -> None:
    """With units; each value names its event, and each event leads to the row as it was then."""
    eve = signed_in["eve"]
    page = eve.page(f"/calculations/{DONE}")
    assert "Energy / Eh" in page
    assert len(rows_of(page, "geometry")) == len(ETHANOL.atoms)
    assert "data-geometry=" in page
    events = rows_of(page, "history")
    assert [("started" in events[0], "completed" in events[-1])] == [(True, True)] or len(
        events
    ) > 2
    assert "calculation_completed" in "".join(rows_of(page, "explanation"))
    first = re.search(r"as_of=(\d+)", page)
    assert first is not None
    then = eve.page(f"/calculations/{DONE}?as_of={first[1]}")
    assert "as of position" in then.lower()
    facts = then.partition('data-panel="facts"')[2].partition("</section>")[0]
    assert "completed</span>" not in facts
    assert "no such calculation then" in eve.page(f"/calculations/{DONE}?as_of=0")
    assert eve.http.get(f"/calculations/{ETHANOL.id}").status_code == 404


def test_one_search_finds_everything_and_performance_has_averages(
    signed_in: dict[str, Signed], served: Served
) -> None:
    """The box is on each page; wall times are grouped as asked."""
    eve = signed_in["eve"]
    found = eve.page(f"/search?q={quote('ethanol')}")
    assert f"/molecules/{ETHANOL.id}" in found
    assert 'action="/search"' in eve.page("/")
    assert f"/calculations/{DONE}" in eve.page(f"/search?q={str(DONE)[:8]}")
    assert "Nothing has" in eve.page("/search?q=nowhere")
    for by in ("method", "size", "version"):
        times = eve.page(f"/performance?by={by}&per=hour")
        assert rows_of(times, "times")
    assert eve.http.get("/performance?by=colour").status_code == 400
    # And another tenant sees none of it
    with served.client("zoe") as zoe:
        assert rows_of(zoe.get("/molecules").text, "rows") == []
        assert "Nothing has" in zoe.get("/search?q=ethanol").text
        assert zoe.get(f"/calculations/{DONE}").status_code == 404


def test_an_unreadable_input_is_shown_by_its_name(
    served: Served, signed_in: dict[str, Signed]
) -> None:
    """No molecule stands for it: the name in the file is all by which a person knows it."""
    id_, batch = uuid4(), uuid4()
    refused = failed(id_, "C")
    item = BatchItem(calculation_id=id_, molecule_id=None, name="broken <ring>")
    record(
        served.engine,
        happened(BatchStarted(name="file", parameters={}, total_count=1), batch),
        happened(BatchItemsAdded(items=[item]), batch),
        msgspec.structs.replace(started(id_, "C"), event=unread(started(id_, "C").event)),
        msgspec.structs.replace(refused, event=unread(refused.event)),
    )
    wait_until_projected(served.engine)
    eve = signed_in["eve"]
    (row,) = [each for each in rows_of(eve.page("/calculations"), "rows") if str(id_) in each]
    assert "broken &lt;ring&gt;" in row
    assert "“broken &lt;ring&gt;” could not be read" in eve.page(f"/calculations/{id_}")


def unread(event: Event) -> Event:
    """The event of a calculation whose input is no molecule."""
    return msgspec.structs.replace(event, molecule_id=None)
