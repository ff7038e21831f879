"""`qforge db encryption-key`: the key of encrypted values."""

import click

from quantum_forge.cli.command import Command
from quantum_forge.cli.show import console
from quantum_forge.eventstore.base.counted import counted
from quantum_forge.eventstore.database.settings import load_settings
from quantum_forge.eventstore.security.encryption import add_key


@click.command("encryption-key", cls=Command)
def encryption_key() -> None:
    """Create a key for encrypted values, or a newer key that is used from now on.

    Older keys stay in the file, because values that they encrypted are still stored. Back up the
    file separately from the database.

    \b
    Example:
      qforge db encryption-key
    """
    path = load_settings().encryption_key_file
    keys = add_key(path)
    console.emit(str(path))
    console.note(f"The file has {counted(keys, 'key')}; the first one encrypts.")
