"""Replies to requests that write."""

from collections.abc import Sequence

from quantum_forge.web.rest.exchange import WriteReply
from quantum_forge.web.rest.request.preferences import applied
from quantum_forge.web.rest.writing.asked import Asked
from quantum_forge.web.rest.writing.rows import Represented


def reply(
    asked: Asked,
    status: int,
    headers: dict[str, str],
    kinds: Sequence[str],
    represented: Represented | None,
) -> WriteReply:
    """Return a reply with the rows, where they are wanted.

    Args:
        asked: the request.
        status: of HTTP.
        headers: beside those that follow from the others.
        kinds: of preferences that were honoured.
        represented: the rows.
    """
    headers = dict(headers)
    if (honoured := applied(asked.preferences, kinds)) is not None:
        headers["Preference-Applied"] = honoured
    if represented is None:
        return WriteReply(status=status, headers=headers)
    headers["Content-Type"] = asked.media.content_type
    return WriteReply(status=status, headers=headers, body=represented.body)
