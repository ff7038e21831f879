"""Data sets: what is left out and why, the file with its manifest, the difference of two."""

import io
import re
import zipfile

import msgspec

from quantum_forge.datasets.manifest import Manifest
from quantum_forge.schema.domains.calculations import CalculationInvalidated
from tests.support.chemical_history import happened, record
from tests.support.projecting import wait_until_projected
from tests.support.training_set import METHODS, MOLECULES, calculation_of
from tests.web.conftest import Served
from tests.web.dashboard.conftest import Signed


def number_of(page: str, title: str) -> int:
    """The number in a card."""
    found = re.search(rf"<dt>{title}</dt><dd>(?:<a[^>]*>)?([\d\u00a0]+)", page)
    assert found is not None, page
    return int(found[1].replace("\u00a0", ""))


def test_a_data_set_is_built_taken_and_compared(
    signed_in: dict[str, Signed], served: Served
) -> None:
    """The counts are those of the manifest; what is retracted later is the difference."""
    bob, eve = signed_in["bob"], signed_in["eve"]
    page = bob.page("/datasets?where=gap%3E0&format=jsonl&name=march")
    kept = number_of(page, "Calculations in it")
    assert kept > 0
    assert "it failed" in page
    failed = bob.page("/datasets?reason=failed")
    assert "Left out: it failed." in failed
    reply = bob.http.get("/datasets.zip?where=gap%3E0&format=jsonl&name=march")
    assert reply.status_code == 200, reply.text
    assert 'filename="march.zip"' in reply.headers["content-disposition"]
    with zipfile.ZipFile(io.BytesIO(reply.content)) as archive:
        names = sorted(archive.namelist())
        assert names == ["march.jsonl", "march.jsonl.manifest.json"]
        manifest = msgspec.json.decode(archive.read(names[1]), type=Manifest)
        lines = archive.read(names[0]).splitlines()
    assert len(lines) == manifest.rows == kept
    assert manifest.recipe.selection.where == ["gap>0"]

    page = bob.page("/datasets")
    assert "dataset march" in page
    assert "dataset march" not in eve.page("/datasets")
    found = re.search(r'href="(/datasets/difference\?before=\d+)"', page)
    assert found is not None
    assert number_of(bob.page(found[1]), "Removed") == 0
    assert eve.http.get(found[1]).status_code == 404

    gone = calculation_of(MOLECULES[4], METHODS[0])
    event = CalculationInvalidated(
        molecule_id=MOLECULES[4].id, batch_id=None, reason="wrong", was_completed=True
    )
    record(served.engine, happened(event, gone))
    wait_until_projected(served.engine)
    after = bob.page(found[1])
    assert number_of(after, "Removed") == 1
    assert f"/calculations/{gone}" in after

    for wrong in ("where=colour%3Dred", "order=colour&limit=1", "limit=x", "format=exe"):
        assert bob.http.get(f"/datasets?{wrong}").status_code == 400
        assert bob.http.get(f"/datasets.zip?{wrong}").status_code == 400
    assert bob.http.get("/datasets/difference?before=1").status_code == 404
