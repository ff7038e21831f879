"""Suggestions for unknown names."""

from quantum_forge.eventstore.base.suggestion import suggestion

KNOWN = ["molecules", "calculations", "calculation_errors", "GFN2-xTB", "Été"]


def test_a_similar_name_is_suggested_however_it_is_written() -> None:
    """A slip of a letter, capitals, hyphens and blanks make no difference; the nearest is first."""
    assert suggestion("molecule", KNOWN, otherwise="") == "did you mean molecules?"
    assert suggestion("Calculation Errors", KNOWN, otherwise="").startswith(
        "did you mean calculation_errors"
    )
    assert suggestion("gfn2xtb", KNOWN, otherwise="") == "did you mean GFN2-xTB?"
    assert suggestion("été", KNOWN, otherwise="") == "did you mean Été?"


def test_where_nothing_is_similar_the_other_hint_is_given() -> None:
    """A far-fetched suggestion would mislead."""
    assert suggestion("vodka", KNOWN, otherwise="list them") == "list them"
    assert suggestion("vodka", [], otherwise="list them") == "list them"
    assert suggestion("", KNOWN, otherwise="list them") == "list them"


def test_short_names_are_similar_by_their_letters() -> None:
    """One wrong letter, letters in another order, or only the beginning of a name."""
    known = ["run", "retry", "projects", "db"]
    for name, meant in (("rum", "run"), ("rnu", "run"), ("re", "retry"), ("proj", "projects")):
        assert suggestion(name, known, otherwise="") == f"did you mean {meant}?"
    assert suggestion("r", known, otherwise="none") == "none"
