"""Encryption of what must be read again, such as a webhook's URL; the key never is in the database.

The keys come from QFORGE_ENCRYPTION_KEYS, separated by commas, or from a file with one a line. The
first encrypts, all decrypt: a new key is put before the others, and they go when nothing needs them
any more.
"""

import os
import stat
from collections.abc import Sequence
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from quantum_forge.eventstore.base.errors import EncryptionKeyMissing, InvalidSetting, Undecryptable
from quantum_forge.eventstore.base.ownership import is_trusted
from quantum_forge.eventstore.base.secret import Secret
from quantum_forge.eventstore.base.whole_file import TargetUnwritable, write_whole
from quantum_forge.eventstore.database.settings import Settings

KEYS_VARIABLE = "QFORGE_ENCRYPTION_KEYS"
_LARGEST_FILE = 2**16
"""Characters of a file of keys that are read."""


class Encryption:
    """Encrypts with the first of its keys, and decrypts with any.

    Raises:
        InvalidSetting: when a key is none; `source` is named, never the key.
    """

    def __init__(self, keys: Sequence[Secret], *, source: str = KEYS_VARIABLE) -> None:
        try:
            self._fernet = MultiFernet([Fernet(key.reveal()) for key in keys])
        except ValueError:
            # The cause may quote the key.
            raise InvalidSetting(
                source, "has no valid key: make one with qforge db encryption-key"
            ) from None

    def encrypt(self, secret: Secret) -> str:
        """The Fernet token of a secret, as events hold it."""
        return self._fernet.encrypt(secret.reveal().encode()).decode()

    def decrypt(self, ciphertext: str) -> Secret:
        """The secret that `encrypt` was given.

        Raises:
            Undecryptable: when none of the keys fits.
        """
        try:
            return Secret(self._fernet.decrypt(ciphertext).decode())
        except InvalidToken:
            raise Undecryptable from None

    def renew(self, ciphertext: str) -> str:
        """The same secret, encrypted with the first key.

        Raises:
            Undecryptable: when none of the keys fits.
        """
        try:
            return self._fernet.rotate(ciphertext).decode()
        except InvalidToken:
            raise Undecryptable from None


def load_encryption(settings: Settings) -> Encryption:
    """The encryption that the settings ask for.

    Raises:
        EncryptionKeyMissing: when there is no key.
        InvalidSetting: when a key is none, or others may read the file.
    """
    if settings.encryption_keys:
        return Encryption(settings.encryption_keys)
    path = settings.encryption_key_file
    return Encryption(_read_keys(path), source=str(path))


def add_key(path: Path) -> int:
    """Put a new key before those of a file, which only its owner can read; returns how many it has.

    Raises:
        InvalidSetting: when the file cannot be read or written.
        TargetBusy: while another process adds a key.
    """
    try:
        keys = _read_keys(path)
    except EncryptionKeyMissing:
        keys = []
    lines = [Fernet.generate_key().decode(), *(key.reveal() for key in keys)]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, "".join(f"{line}\n" for line in lines).encode("ascii"), replace=True)
    except OSError as error:
        raise InvalidSetting(str(path), f"cannot be written ({error.strerror})") from error
    except TargetUnwritable as error:
        raise InvalidSetting(str(path), f"cannot be written ({error.reason})") from error
    return len(lines)


def _read_keys(path: Path) -> list[Secret]:
    try:
        # Without blocking: a named pipe would wait for somebody to write into it.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, encoding="ascii") as file:
            facts = os.fstat(descriptor)
            if not stat.S_ISREG(facts.st_mode):
                raise InvalidSetting(str(path), "is not a regular file; move it away")
            if not is_trusted(facts.st_uid, path):
                raise InvalidSetting(
                    str(path),
                    f"belongs to another user ({facts.st_uid}), who could read what it encrypts: "
                    "move it away, and make a key with qforge db encryption-key",
                )
            lines = file.read(_LARGEST_FILE).split()
    except FileNotFoundError:
        raise EncryptionKeyMissing(path) from None
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidSetting(str(path), f"cannot be read ({type(error).__name__})") from None
    if facts.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise InvalidSetting(str(path), f"can be read by others; run: chmod 600 {path}")
    if not lines:
        raise EncryptionKeyMissing(path)
    return [Secret(line) for line in lines]
