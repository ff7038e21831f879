"""The only calculation of a database, as the commands show it."""

import json
import math
from typing import Any

from tests.conftest import Qforge


def only_calculation(qforge: Qforge) -> dict[str, Any]:
    """Its row, with `atoms`."""
    (row,) = json.loads(qforge("calculations", "list", "--json").stdout)
    shown = json.loads(qforge("calculations", "show", row["id"], "--json").stdout)
    return {**shown["calculation"], "atoms": shown["atoms"]}


def distance(row: dict[str, Any], first: int, second: int) -> float:
    """Between two atoms, counted from 0, in Å."""
    one, other = (
        [row["atoms"][index][f"position_{axis}"] for axis in "xyz"] for index in (first, second)
    )
    return math.dist(one, other)


def largest_force(row: dict[str, Any]) -> float:
    """Over all atoms, in Eh/Bohr."""
    return max(math.hypot(*(atom[f"force_{axis}"] for axis in "xyz")) for atom in row["atoms"])
