"""What asks for a rebuild: a definition that means something else, and nothing more."""

from copy import copy
from dataclasses import replace
from typing import Any

import pytest

from quantum_forge.projections.project.checkpoint import fingerprint
from quantum_forge.projections.registry import PROJECTIONS
from quantum_forge.schema.domains import EVENT_TYPES
from quantum_forge.schema.language.event import Event
from quantum_forge.schema.language.fold import Operation
from quantum_forge.schema.language.projection import Projection
from tests.support.projecting import BATCH_JOBS


def changed(**parts: Any) -> Projection:
    """The batch jobs, but for some parts of their definition."""
    other = copy(BATCH_JOBS)
    vars(other).update(parts)
    return other


@pytest.mark.parametrize(
    "parts",
    [
        {"opens": frozenset({"batch_started"})},
        {"ends": frozenset({"batch_cancelled"})},
        {"replaces": True},
        {"folds": BATCH_JOBS.folds[1:]},
        {"folds": (replace(BATCH_JOBS.folds[0], operation=Operation.FIRST), *BATCH_JOBS.folds[1:])},
        {"folds": (replace(BATCH_JOBS.folds[0], where={"name": "a"}), *BATCH_JOBS.folds[1:])},
        {"events": dict(list(BATCH_JOBS.events.items())[1:])},
    ],
    ids=lambda parts: next(iter(parts)),
)
def test_another_meaning_has_another_fingerprint(parts: dict[str, Any]) -> None:
    """Each part of a declaration counts."""
    assert fingerprint(changed(**parts)) != fingerprint(BATCH_JOBS)


def test_the_same_meaning_has_the_same_fingerprint() -> None:
    """Whatever the order in which event types are named."""
    folds = tuple(
        replace(fold, values=dict(reversed(list(fold.values.items())))) for fold in BATCH_JOBS.folds
    )
    same = changed(events=dict(reversed(list(BATCH_JOBS.events.items()))), folds=folds)
    assert fingerprint(same) == fingerprint(BATCH_JOBS)


def test_a_module_that_moves_changes_no_fingerprint(monkeypatch: pytest.MonkeyPatch) -> None:
    """Event types are known by their names in the log, not by where Python finds them."""
    before = {projection.name: fingerprint(projection) for projection in PROJECTIONS.values()}
    fingerprint.cache_clear()
    for cls in {base for event in EVENT_TYPES for base in event.__mro__ if issubclass(base, Event)}:
        monkeypatch.setattr(cls, "__module__", "elsewhere")

    after = {projection.name: fingerprint(projection) for projection in PROJECTIONS.values()}

    monkeypatch.undo()
    fingerprint.cache_clear()
    assert after == before
