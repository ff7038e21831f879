"""A client whose clock is wrong."""

import sys
from datetime import UTC, datetime, timedelta, tzinfo

import pytest


def shift_clock(monkeypatch: pytest.MonkeyPatch, **shift: float) -> None:
    """Set this process's wall clock by so much (as `timedelta` takes it), for all of our modules.

    Replaces what an earlier call has set.
    """

    class Shifted(datetime):
        """As the true one, but `now` is wrong."""

        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]  # no Self
            return datetime.now(tz or UTC) + timedelta(**shift)

    for name, module in list(sys.modules.items()):
        known = getattr(module, "datetime", None)
        if name.startswith("quantum_forge.") and isinstance(known, type):
            monkeypatch.setattr(module, "datetime", Shifted)
