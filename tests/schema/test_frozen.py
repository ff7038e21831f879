"""Migrations stay as they were released: databases have run them."""

import hashlib
from pathlib import Path

from quantum_forge.eventstore.database.installation.new_migration import CHECKSUMS

VERSIONS = Path(__file__).parents[2] / "schema/migrations/versions"

ADVICE = """
{name} is not as it was when it was released. Databases that ran it keep what it made then: put it
back, and write what is new with: qforge db migration new "message"
A migration that no database but yours has run may change:
    cd schema/migrations/versions && sha256sum 0* > {sums}
"""


def test_a_released_migration_is_never_edited() -> None:
    """Each file has the checksum that was taken when the migration was written."""
    lines = (VERSIONS / CHECKSUMS).read_text("utf-8").splitlines()
    frozen = {name: checksum for checksum, name in (line.split() for line in lines)}
    there = {
        file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in VERSIONS.glob("0*")
    }

    for name in frozen.keys() | there.keys():
        assert there.get(name) == frozen.get(name), ADVICE.format(name=name, sums=CHECKSUMS)
