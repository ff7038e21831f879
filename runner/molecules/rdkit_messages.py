"""Messages of RDKit, collected instead of printed to stderr."""

import logging
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from rdkit import rdBase

_logger = logging.getLogger("rdkit")
_alone = threading.RLock()
_TIME = re.compile(r"^\[\d\d:\d\d:\d\d\] ")
_NOISE = re.compile(r"^[~^ ]*\^$|check for mistakes|^SMILES Parse Error: Failed parsing")


class _Collector(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(_TIME.sub("", record.getMessage()).strip())


@contextmanager
def collected_messages() -> Iterator[list[str]]:
    """Yield a list that fills with RDKit's messages; nothing of them reaches stderr meanwhile.

    RDKit's log is one per process: of several threads, one at a time gets it, and the others wait.
    """
    with _alone:
        rdBase.LogToPythonLogger()
        handlers, propagate = _logger.handlers[:], _logger.propagate
        collector = _Collector()
        _logger.handlers[:], _logger.propagate = [collector], False
        try:
            yield collector.messages
        finally:
            _logger.handlers[:], _logger.propagate = handlers, propagate
            rdBase.LogToCppStreams()


def reason_from(messages: list[str], otherwise: str) -> str:
    """Return the message that says most in one line, without RDKit's prefixes; or `otherwise`."""
    telling = [text for text in messages if text and not _NOISE.search(text)]
    if not telling:
        return otherwise
    reason = telling[0].removeprefix("SMILES Parse Error: ")
    pointed = re.search(r"position (\d+)", " ".join(messages))
    if pointed and reason.startswith("syntax error"):
        return f"syntax error at character {pointed[1]}"
    return re.sub(r" for input: '.*'$", "", " ".join(reason.split()))
