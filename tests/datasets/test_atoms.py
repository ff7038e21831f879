"""Atoms are read as CSV, which is quick, where that means the same as reading them as JSON."""

import json
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from quantum_forge.datasets.atoms import (
    BadAtoms,
    _read_as_table,
    _read_one_by_one,
    atom_columns,
    count_atoms,
)
from quantum_forge.datasets.units import STORED

Document = list[Any]

number = st.floats(allow_nan=False, allow_infinity=False).map(float)
maybe = st.none() | number
atom = st.tuples(
    st.sampled_from(["H", "C", "Cl"]), st.integers(1, 118), maybe, number, number, number, maybe,
    maybe, maybe,
).map(list)  # fmt: skip
strange = st.recursive(
    st.none() | st.booleans() | st.integers() | number | st.text() | st.sampled_from(['"', "], ["]),
    lambda inner: st.lists(inner, max_size=9),
    max_leaves=12,
)
CARBON: Document = ["C", 6, 0.1, 0.0, 1.5, -2e-300, None, None, None]


def written(documents: list[Document]) -> list[str]:
    """As the database sends them: with a space behind each comma, and lines for atoms."""
    return [json.dumps(each, ensure_ascii=False).replace("], [", "\n") for each in documents]


def flat(documents: list[str]) -> dict[str, list[Any]] | None:
    """What the slow and certain way reads; None where it refuses."""
    try:
        _, found = _read_one_by_one(documents)
    except (BadAtoms, pa.ArrowException, OverflowError):
        return None
    return {name: values.to_pylist() for name, values in found.items()}


@settings(deadline=None)  # the first call imports pandas, if it is there
@given(st.lists(st.lists(atom, min_size=1, max_size=4), min_size=1, max_size=4))
def test_plain_atoms_are_read_quickly_and_the_same(documents: list[Document]) -> None:
    """To the last bit of every number, with the same nulls."""
    texts = written(documents)
    quick = _read_as_table(texts, sum(map(count_atoms, texts)))
    assert quick is not None
    assert {name: values.to_pylist() for name, values in quick.items()} == flat(texts)


@settings(deadline=None)
@given(
    st.lists(atom, min_size=1, max_size=3),
    st.integers(0, 26),
    strange,
)
@example([CARBON], 0, None)
@example([CARBON], 0, "a], [b")
@example([CARBON], 0, 'a"')
@example([CARBON], 0, "\\")
@example([CARBON], 0, "a, b")
@example([CARBON], 3, "0.5")
@example([CARBON], 3, None)
@example([CARBON], 3, True)
@example([CARBON], 1, 6.5)
@example([CARBON], 3, 10**400)
@example([CARBON, CARBON], 9, [])
def test_whatever_else_is_there_is_read_the_same_or_not_at_all(
    atoms: Document, place: int, other: Any
) -> None:
    """A text where a number should be, an atom that is none, a quote, a comma in an element."""
    row, column = divmod(place, 9)
    if row < len(atoms):
        if column == 8:
            atoms = [*atoms[:row], other, *atoms[row + 1 :]]
        else:
            changed = [*atoms[row][:column], other, *atoms[row][column + 1 :]]
            atoms = [*atoms[:row], changed, *atoms[row + 1 :]]
    texts = written([atoms])
    quick = _read_as_table(texts, count_atoms(texts[0]))
    if quick is not None:
        assert {name: values.to_pylist() for name, values in quick.items()} == flat(texts)


def test_what_no_atom_of_a_calculation_has_is_null() -> None:
    """A list of nulls says less than null; one with a value keeps its nulls."""
    forces = [*CARBON[:6], 0.25, 0.5, 1.0]
    texts = written([[CARBON, CARBON], [[*forces[:2], None, *forces[3:]], CARBON]])
    elements, numbers, charges, positions, found = (
        column.to_pylist() for column in atom_columns(texts, [2, 2], STORED)
    )
    assert elements == [["C", "C"]] * 2
    assert numbers == [[6, 6]] * 2
    assert charges == [[0.1, 0.1], [None, 0.1]]
    assert positions == [[[0.0, 1.5, -2e-300]] * 2] * 2
    assert found == [None, [[0.25, 0.5, 1.0], [None] * 3]]


def test_the_document_that_is_none_is_named() -> None:
    """By its place."""
    with pytest.raises(BadAtoms) as refused:
        atom_columns(written([[CARBON], [["C"]]]), [1, 1], STORED)
    assert refused.value.index == 1
