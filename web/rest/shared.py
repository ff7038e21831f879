"""Pages that were read before, by this process or another, with the state of their tables."""

import hashlib
import time
from collections.abc import Callable
from typing import Protocol

import msgspec

from quantum_forge.web.rest.exchange import ReadReply, ReadRequest

WORTH_SECONDS = 0.005
"""Seconds of the database from which on a page is kept: less is as fast as the cache itself."""


class Pages(Protocol):
    """What keeps pages by key."""

    def get(self, key: str) -> bytes | None:
        """Return a page, if it is there."""

    def put(self, key: str, page: bytes) -> None:
        """Keep a page, if possible."""


class _Page(msgspec.Struct, frozen=True, array_like=True):
    status: int
    headers: dict[str, str]
    body: bytes


_DECODER = msgspec.msgpack.Decoder(_Page)


def shared_reply(
    pages: Pages, request: ReadRequest, tag: str, read: Callable[[], ReadReply]
) -> ReadReply:
    """Return the reply to a request from the pages, or read it, and keep it if that took long.

    The entity tag stands for the state of the tables, for the tenant and the role by which they are
    read, and for the form of the reply; the request for the rest. So no reply is served after its
    rows changed, or to somebody who would see others.

    Args:
        pages: what keeps them.
        request: whose reply it is.
        tag: the entity tag of the reply, as the tables are now.
        read: reads it from the database.
    """
    if (found := pages.get(_key(request, tag))) is not None and (page := _decoded(found)):
        headers = {**page.headers, "Server-Timing": 'cache;desc="hit"'}
        return ReadReply(status=page.status, headers=headers, body=page.body)
    began = time.perf_counter()
    reply = read()
    took = time.perf_counter() - began
    # The rows may be newer than the tag that was looked for; they have one of their own.
    own = reply.headers.get("ETag")
    if took >= WORTH_SECONDS and own is not None and isinstance(reply.body, bytes):
        page = _Page(reply.status, reply.headers, reply.body)
        pages.put(_key(request, own), msgspec.msgpack.encode(page))
    return reply


def _key(request: ReadRequest, tag: str) -> str:
    facts = msgspec.json.encode([tag, request.table, request.path, list(request.pairs)])
    return hashlib.sha256(facts).hexdigest()


def _decoded(found: bytes) -> _Page | None:
    try:
        return _DECODER.decode(found)
    except msgspec.MsgspecError:
        return None  # of another version of this program
