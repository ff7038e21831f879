"""The case table of the dialect, as far as it reads: what PostgREST does, on our tables."""

from typing import Any

import pytest

from tests.web.rest.conftest import OURS, Get

ROWS: list[tuple[str, Any]] = [
    # Selected, renamed, cast
    ("/molecules?select=smiles&order=smiles&limit=1", [{"smiles": "C"}]),
    (
        "/molecules?select=s:smiles,charge::text&smiles=eq.C",
        [{"s": "C", "charge": "0"}],
    ),
    ("/molecules?select=&smiles=eq.C", [{}]),
    (
        "/molecules?select=metadata->of->>who,first:metadata->tags->0,metadata->size::int"
        "&metadata->of->>who=eq.ada 1",
        [{"who": "ada 1", "first": "a", "size": 1}],
    ),
    # Filters
    (
        "/molecules?select=smiles&smiles=neq.C&order=smiles",
        [{"smiles": "CC"}, {"smiles": "CCC"}, {"smiles": "CCCC"}],
    ),
    (
        "/molecules?select=smiles&completed_calculation_count=gte.1&completed_calculation_count=lte.1&smiles=gt.CC",
        [{"smiles": "CCC"}],
    ),
    ("/molecules?select=smiles&smiles=not.eq.C&smiles=lt.CCC", [{"smiles": "CC"}]),
    ("/molecules?select=smiles&name=like.name 1*", [{"smiles": "CC"}]),
    ("/molecules?select=smiles&name=ilike.NAME 1*", [{"smiles": "CC"}]),
    ("/molecules?select=smiles&name=match.^name 1", [{"smiles": "CC"}]),
    ("/molecules?select=smiles&name=imatch.^NAME 1", [{"smiles": "CC"}]),
    (
        "/molecules?select=smiles&name=like(any).{*1*,*3*}&order=smiles",
        [{"smiles": "CC"}, {"smiles": "CCCC"}],
    ),
    ("/molecules?select=smiles&name=like(all).{*1*,*3*}", []),
    (
        "/molecules?select=smiles&smiles=eq(any).{C,CC}&order=smiles.desc",
        [{"smiles": "CC"}, {"smiles": "C"}],
    ),
    ("/molecules?select=smiles&smiles=gt(all).{C,CC}&smiles=lt.CCCC", [{"smiles": "CCC"}]),
    ('/molecules?select=smiles&name=in.("name 1, of CC",x)', [{"smiles": "CC"}]),
    ("/molecules?select=smiles&smiles=in.()", []),
    ("/molecules?select=smiles&smiles=not.in.(C,CC,CCC)", [{"smiles": "CCCC"}]),
    ("/molecules?select=smiles&name=is.null", [{"smiles": "CCC"}]),
    ("/molecules?select=smiles&name=is.NOT_NULL&smiles=eq.C", [{"smiles": "C"}]),
    ("/users?select=username&is_active=is.true", [{"username": "ada"}]),
    ("/users?select=username&is_active=is.unknown", []),
    (
        "/molecules?select=smiles&name=isdistinct.name 1, of CC&smiles=in.(CC,CCC)",
        [{"smiles": "CCC"}],
    ),
    ('/molecules?select=smiles&metadata=cs.{"size":1}', [{"smiles": "CC"}]),
    ('/molecules?select=smiles&metadata->tags=cs.["n1"]', [{"smiles": "CC"}]),
    ("/molecules?select=smiles&metadata->size=eq.1", [{"smiles": "CC"}]),
    (
        "/calculation_errors?select=error_type&limit=1&error_message=wfts(english).iteration or x",
        [{"error_type": "convergence_error"}],
    ),
    (
        "/calculation_errors?select=error_type&error_message=fts.iterations&limit=1",
        [{"error_type": "convergence_error"}],
    ),
    (
        "/calculation_errors?select=error_type&error_message=not.plfts.no cats&limit=1",
        [{"error_type": "convergence_error"}],
    ),
    ("/calculation_errors?select=error_type&error_message=phfts.cats dogs", []),
    # By the index of words, and beside it
    ("/molecules?select=smiles&name=fts.name %26 c&order=smiles", [{"smiles": "C"}]),
    ("/molecules?select=smiles&name=fts(simple).c", [{"smiles": "C"}]),
    (
        "/molecules?select=smiles&name=not.fts.c&order=smiles",
        [{"smiles": "CC"}, {"smiles": "CCCC"}],
    ),
    ("/molecules?select=smiles&not.and=(name.fts.name)", []),
    (
        '/molecules?select=smiles&or=(name.wfts."cc or nothing",smiles.eq.CCC)&order=smiles',
        [{"smiles": "CC"}, {"smiles": "CCC"}],
    ),
    ("/molecules?select=smiles&and=(name.plfts.of c,charge.eq.0)", [{"smiles": "C"}]),
    (
        "/projects?select=molecules(smiles)&molecules.name=fts.of&name=wfts.project -other",
        [{"molecules": [{"smiles": "C"}]}],
    ),
    (
        "/molecules?select=smiles&or=(smiles.eq.C, and(smiles.gt.CC,name.is.null))&order=smiles",
        [{"smiles": "C"}, {"smiles": "CCC"}],
    ),
    (
        "/molecules?select=smiles&not.and=(smiles.neq.C,smiles.neq.CC)&order=smiles",
        [{"smiles": "C"}, {"smiles": "CC"}],
    ),
    (
        '/molecules?select=smiles&or=(smiles.in.("C","x,y"),metadata.cs.{"size":1})&order=smiles',
        [{"smiles": "C"}, {"smiles": "CC"}],
    ),
    (
        "/molecules?select=smiles&not.or=(name.not.is.null,not.and(smiles.eq.CCC))",
        [{"smiles": "CCC"}],
    ),
    # Order
    ("/molecules?select=name&order=name.desc.nullslast&limit=1", [{"name": "name 3, of CCCC"}]),
    ("/molecules?select=name&order=name.desc&limit=1", [{"name": None}]),
    ("/molecules?select=name&order=name.nullsfirst&limit=1", [{"name": None}]),
    ("/molecules?select=smiles&order=metadata->size.desc&limit=1", [{"smiles": "CCCC"}]),
    # Embedded relations
    (
        "/molecules?select=smiles,calculations(energy)&smiles=in.(C,CCCC)&order=smiles"
        "&calculations.energy=not.is.null",
        [{"smiles": "C", "calculations": [{"energy": -5}]}, {"smiles": "CCCC", "calculations": []}],
    ),
    (
        "/molecules?select=smiles,projects(name)&smiles=in.(C,CC)&order=smiles",
        [
            {"smiles": "C", "projects": {"name": f"project of {OURS}"}},
            {"smiles": "CC", "projects": None},
        ],
    ),
    (
        "/molecules?select=smiles,calculations!inner(energy)&calculations.gap=gt.13.5",
        [{"smiles": "C", "calculations": [{"energy": -5}]}],
    ),
    (
        "/molecules?select=smiles,calculations(energy)&calculations.gap=gt.13.5&order=smiles&limit=2",
        [{"smiles": "C", "calculations": [{"energy": -5}]}, {"smiles": "CC", "calculations": []}],
    ),
    (
        "/molecules?select=smiles,calculations(status)&calculations.order=status.desc"
        "&calculations.limit=1&order=smiles&limit=2",
        [
            {"smiles": "C", "calculations": [{"status": "failed"}]},
            {"smiles": "CC", "calculations": [{"status": "failed"}]},
        ],
    ),
    (
        "/molecules?select=smiles,runs:calculations(energy,atoms:atomic_properties(atom_index))"
        "&runs.energy=eq.-5&runs.atoms.limit=2&runs.atoms.offset=1&smiles=eq.C",
        [
            {
                "smiles": "C",
                "runs": [{"energy": -5, "atoms": [{"atom_index": 1}, {"atom_index": 2}]}],
            }
        ],
    ),
    (
        "/atomic_properties?select=atom_index,calculations!inner(energy,molecules!inner(smiles))"
        "&calculations.molecules.smiles=eq.CC&order=atom_index&limit=1",
        [{"atom_index": 0, "calculations": {"energy": -6, "molecules": {"smiles": "CC"}}}],
    ),
    (
        "/calculations?select=energy,...molecules(smiles,of:name)&energy=eq.-6",
        [{"energy": -6, "smiles": "CC", "of": "name 1, of CC"}],
    ),
    (
        "/molecules?select=smiles,...calculations(energy,status)&order=smiles.desc&limit=2"
        "&calculations.order=status",
        [
            {"smiles": "CCCC", "energy": [], "status": []},
            {"smiles": "CCC", "energy": [-7, None], "status": ["completed", "failed"]},
        ],
    ),
    (
        "/molecules?select=smiles,calculations()&calculations=is.null",
        [{"smiles": "CCCC"}],
    ),
    (
        "/molecules?select=smiles,calculations()&calculations=not.is.null&smiles=gt.CC",
        [{"smiles": "CCC"}],
    ),
    (
        "/molecules?select=smiles,calculations()&or=(calculations.is.null,smiles.eq.C)&order=smiles",
        [{"smiles": "C"}, {"smiles": "CCCC"}],
    ),
    (
        "/batch_jobs?select=name,calculations!batch_items(energy)&order=name"
        "&calculations.order=energy",
        [
            {"name": "all", "calculations": [{"energy": -7}, {"energy": -6}, {"energy": -5}]},
            {"name": "first", "calculations": [{"energy": -5}]},
        ],
    ),
    (
        "/calculations?select=energy,batch_jobs!batch_items!inner(name)&batch_jobs.name=eq.first",
        [{"energy": -5, "batch_jobs": [{"name": "first"}]}],
    ),
    (
        "/calculations?select=energy,molecule_id(smiles)&energy=eq.-5",
        [{"energy": -5, "molecule_id": {"smiles": "C"}}],
    ),
    (
        "/calculations?select=energy,m:molecules!molecule_id(smiles)&energy=eq.-5",
        [{"energy": -5, "m": {"smiles": "C"}}],
    ),
    (
        "/calculations?select=energy,molecules(smiles)&order=molecules(smiles).desc,energy.nullslast"
        "&limit=2",
        [
            {"energy": -7, "molecules": {"smiles": "CCC"}},
            {"energy": None, "molecules": {"smiles": "CCC"}},
        ],
    ),
    # Aggregates
    ("/calculations?select=count()", [{"count": 6}]),
    (
        "/calculations?select=status,count(),mean:energy.avg()::int,gap.max()&order=status",
        [
            {"status": "completed", "count": 3, "mean": -6, "max": 14},
            {"status": "failed", "count": 3, "mean": None, "max": None},
        ],
    ),
    (
        "/molecules?select=smiles,calculations(energy.sum(),count())&smiles=eq.C",
        [{"smiles": "C", "calculations": [{"sum": -5, "count": 2}]}],
    ),
    (
        "/calculations?select=...molecules(smiles),n:count()&order=molecules(smiles)&energy=lt.-5.5",
        [{"smiles": "CC", "n": 1}, {"smiles": "CCC", "n": 1}],
    ),
]


@pytest.mark.parametrize(("path", "rows"), ROWS, ids=[path for path, _ in ROWS])
def test_a_request_is_answered_with_the_rows_that_it_asks_for(
    get: Get, path: str, rows: Any
) -> None:
    """Select, filters, trees, order, embedded relations and aggregates mean what clients expect."""
    reply = get(path)
    assert (reply.status, reply.json) == (200, rows), reply.body
