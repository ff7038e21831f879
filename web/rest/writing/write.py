"""Answers to requests that write: every change of a row is recorded as an event."""

from quantum_forge.eventstore.recording.recorder import Recorder
from quantum_forge.web.rest.exchange import WriteReply, WriteRequest
from quantum_forge.web.rest.writing.asked import asked_of
from quantum_forge.web.rest.writing.insert import insert, put
from quantum_forge.web.rest.writing.update import delete, update

_ANSWERS = {"POST": insert, "PUT": put, "PATCH": update, "DELETE": delete}


def write(recorder: Recorder, request: WriteRequest) -> WriteReply:
    """Answer a POST, PATCH, PUT or DELETE request.

    Args:
        recorder: on whose behalf; it has no spool.
        request: what is to be changed.

    Raises:
        RestError: for a request that cannot be answered.
        QuantumForgeError: for what may not happen, or not be recorded by whoever asks.
    """
    return _ANSWERS[request.method](asked_of(recorder, request))
