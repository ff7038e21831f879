"""Names that only one account may have: claimed in the append that gives them, or refused."""

import unicodedata
from uuid import UUID

from sqlalchemy import Connection

from quantum_forge.eventstore.base.envelope import NewEvent, Stream
from quantum_forge.eventstore.base.errors import MixedScripts, NameTaken, NoSuchUser
from quantum_forge.eventstore.recording.author import Author
from quantum_forge.eventstore.recording.latest_fields import latest_values
from quantum_forge.eventstore.recording.standings import read_standings
from quantum_forge.schema.domains.users import NameClaimed, NameReleased
from quantum_forge.schema.language.identity import natural_id

EMAIL = "email"
USERNAME = "username"


def name_id(tenant_id: UUID, kind: str, name: str) -> UUID:
    """The id under which a name is claimed, whatever its case."""
    return natural_id(kind, tenant_id, unicodedata.normalize("NFKC", name).strip().lower())


def require_one_script(name: str) -> None:
    """Refuse a name whose letters are not of one script: a Cyrillic a makes another `admin`.

    Raises:
        MixedScripts
    """
    scripts = {
        unicodedata.name(letter, "unknown").split()[0].lower()
        for letter in unicodedata.normalize("NFKC", name)
        if letter.isalpha()
    }
    if len(scripts) > 1:
        raise MixedScripts(name, scripts)


def claim(
    connection: Connection, author: Author, kind: str, name: str, holder: UUID
) -> list[NewEvent]:
    """The event that gives a name to an account; none where the account has it already.

    Raises:
        NameTaken: when another account has it.
    """
    stream = name_stream(author.tenant_id, kind, name)
    if read_standings(connection, [stream])[stream].state != "claimed":
        return [author.new(stream.entity_id, NameClaimed(kind=kind, user_id=holder))]
    if _holder(connection, stream) != holder:
        raise NameTaken({EMAIL: "email address"}.get(kind, kind), name)
    return []


def release(author: Author, kind: str, name: str, holder: UUID) -> NewEvent:
    """The event that gives a name back."""
    return author.new(name_id(author.tenant_id, kind, name), NameReleased(user_id=holder))


def find_account(connection: Connection, tenant_id: UUID, name: str) -> UUID:
    """Who has this email address or username now, by the log.

    Raises:
        NoSuchUser: when no account has it.
    """
    found = find_holder(connection, tenant_id, name)
    if found is None:
        raise NoSuchUser(name)
    return found


def find_holder(connection: Connection, tenant_id: UUID, name: str) -> UUID | None:
    """Whose an email address or username, which has no @, is now, by the log; None: nobody's."""
    stream = name_stream(tenant_id, EMAIL if "@" in name else USERNAME, name)
    if read_standings(connection, [stream])[stream].state != "claimed":
        return None
    return _holder(connection, stream)


def name_stream(tenant_id: UUID, kind: str, name: str) -> Stream:
    """The history of who had a name."""
    return Stream(tenant_id, NameClaimed.entity_type, name_id(tenant_id, kind, name))


def _holder(connection: Connection, stream: Stream) -> UUID | None:
    latest = latest_values(connection, stream, ["user_id"])["user_id"]
    return latest and UUID(latest)
