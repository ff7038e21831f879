"""Methods of an object as coroutines of another, its face for asyncio.

    class AsyncQuery(Face):
        rows = over_connection(Query.rows)

No method is written twice, and each keeps its arguments and types. What needs one connection runs
over an asynchronous one, through `AsyncConnection.run_sync`; what owns an engine, or talks to the
raw driver, runs in a thread.
"""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial, update_wrapper
from itertools import islice
from typing import (
    TYPE_CHECKING,
    Any,
    Concatenate,
    Generic,
    ParamSpec,
    Protocol,
    Self,
    TypeVar,
    overload,
)

from sqlalchemy import Connection

from quantum_forge.eventstore.base.envelope import RecordedEvent

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

EVENTS_AT_ONCE = 100
"""Events that one turn of the event loop's greenlet reads."""

Given = ParamSpec("Given")
Answer = TypeVar("Answer")
Wrapped = TypeVar("Wrapped")


class AsyncDoor(Protocol):
    """What a face needs of an asynchronous forge; each raises `ForgeClosed` after it was closed."""

    @property
    def engine(self) -> "AsyncEngine":
        """Whose pool lends connections."""

    async def _in_thread(self, function: Callable[[], Answer]) -> Answer:
        """Call a function in a thread."""


class Face:
    """An asynchronous object and the synchronous one that does its work."""

    def __init__(self, door: AsyncDoor, inner: Any) -> None:
        self._door = door
        self._inner = inner

    def _lent(self, connection: Connection) -> Any:
        """The inner object, working over one connection."""
        return self._inner._using(connection)


class _Awaited(Generic[Given, Answer]):
    """A method of the inner object, as a coroutine."""

    def __init__(self, method: Callable[Concatenate[Any, Given], Answer]) -> None:
        self._method = method
        self.__doc__ = method.__doc__

    @overload
    def __get__(self, face: None, owner: type) -> Self: ...
    @overload
    def __get__(self, face: Face, owner: type) -> Callable[Given, Coroutine[Any, Any, Answer]]: ...

    def __get__(
        self, face: Face | None, owner: type
    ) -> Self | Callable[Given, Coroutine[Any, Any, Answer]]:
        if face is None:
            return self

        def call(*args: Given.args, **kwargs: Given.kwargs) -> Coroutine[Any, Any, Answer]:
            return self._call(face, lambda inner: self._method(inner, *args, **kwargs))

        update_wrapper(call, self._method)
        return call

    async def _call(self, face: Face, function: Callable[[Any], Answer]) -> Answer:
        raise NotImplementedError


class in_thread(_Awaited[Given, Answer]):  # noqa: N801  # used as if it were a keyword
    """A method of the inner object, in a thread."""

    async def _call(self, face: Face, function: Callable[[Any], Answer]) -> Answer:
        return await face._door._in_thread(partial(function, face._inner))


class over_connection(_Awaited[Given, Answer]):  # noqa: N801  # used as if it were a keyword
    """A method of the inner object, over a connection of the asynchronous pool."""

    async def _call(self, face: Face, function: Callable[[Any], Answer]) -> Answer:
        async with face._door.engine.connect() as connection:
            return await connection.run_sync(lambda lent: function(face._lent(lent)))


class made_into(Generic[Given, Wrapped]):  # noqa: N801  # used as if it were a keyword
    """A method of the inner object that waits for nothing, whose result gets a face."""

    def __init__(
        self,
        face: Callable[[Any, Any], Wrapped],
        method: Callable[Concatenate[Any, Given], Any],
    ) -> None:
        self._face = face
        self._method = method
        self.__doc__ = method.__doc__

    @overload
    def __get__(self, face: None, owner: type) -> Self: ...
    @overload
    def __get__(self, face: Face, owner: type) -> Callable[Given, Wrapped]: ...

    def __get__(self, face: Face | None, owner: type) -> Self | Callable[Given, Wrapped]:
        if face is None:
            return self

        def call(*args: Given.args, **kwargs: Given.kwargs) -> Wrapped:
            return self._face(face._door, self._method(face._inner, *args, **kwargs))

        update_wrapper(call, self._method)
        return call


class iterated(Generic[Given]):  # noqa: N801  # used as if it were a keyword
    """A method of the inner object that iterates over events, as an asynchronous iterator."""

    def __init__(self, method: Callable[Concatenate[Any, Given], Iterator[RecordedEvent]]) -> None:
        self._method = method
        self.__doc__ = method.__doc__

    @overload
    def __get__(self, face: None, owner: type) -> Self: ...
    @overload
    def __get__(self, face: Face, owner: type) -> Callable[Given, AsyncIterator[RecordedEvent]]: ...

    def __get__(
        self, face: Face | None, owner: type
    ) -> Self | Callable[Given, AsyncIterator[RecordedEvent]]:
        if face is None:
            return self

        def call(*args: Given.args, **kwargs: Given.kwargs) -> AsyncIterator[RecordedEvent]:
            if kwargs.get("follow"):
                stop = kwargs["stop"] = kwargs.get("stop") or threading.Event()
                assert isinstance(stop, threading.Event)
                return _followed(self._method(face._inner, *args, **kwargs), stop)
            # What is wrong with the arguments is raised now, not at the first event.
            self._method(face._inner, *args, **kwargs)
            return _read(face, lambda inner: self._method(inner, *args, **kwargs))

        update_wrapper(call, self._method)
        return call


async def _read(
    face: Face, method: Callable[[Any], Iterator[RecordedEvent]]
) -> AsyncIterator[RecordedEvent]:
    async with face._door.engine.connect() as connection:
        events = await connection.run_sync(lambda lent: method(face._lent(lent)))
        while chunk := await connection.run_sync(lambda _: list(islice(events, EVENTS_AT_ONCE))):
            for event in chunk:
                yield event


async def _followed(
    events: Iterator[RecordedEvent], stop: threading.Event
) -> AsyncIterator[RecordedEvent]:
    """The events of an iterator that waits for them, in a thread of its own."""
    thread = ThreadPoolExecutor(1, thread_name_prefix="qforge-follow")
    loop = asyncio.get_running_loop()
    try:
        while (event := await loop.run_in_executor(thread, next, events, None)) is not None:
            yield event
    finally:
        stop.set()
        close: Callable[[], object] = getattr(events, "close", lambda: None)
        thread.submit(close)
        thread.shutdown(wait=False)
