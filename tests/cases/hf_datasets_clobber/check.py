"""Another distribution's `datasets` or `schema` is not overwritten by this one's installation."""

from pathlib import Path

from tests.conftest import Qforge
from tests.test_package import wheel_names


def check(_: Path, __: Qforge) -> None:
    """The wheel puts nothing into site-packages but quantum_forge and its own metadata."""
    tops = {name.split("/")[0] for name in wheel_names()}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"quantum_forge"}
