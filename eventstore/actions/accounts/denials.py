"""Refused attempts to come in, recorded so seldom that nobody fills the log with them."""

import contextlib
import time
from uuid import UUID

from quantum_forge.eventstore.base.envelope import MUST_NOT_EXIST
from quantum_forge.eventstore.base.errors import VersionConflict
from quantum_forge.eventstore.recording.recorder import Recorder
from quantum_forge.schema.domains.audit import AccessDenied
from quantum_forge.schema.language.identity import natural_id

_TOLD_APART = 64


def record_denied(recorder: Recorder, denied: AccessDenied, of: UUID) -> None:
    """Record a refusal to a known user, key or session, at most once a minute for each reason."""
    _record_once(recorder, denied, f"{of} {denied.reason}")


def record_unknown(recorder: Recorder, denied: AccessDenied, typed: UUID) -> None:
    """Record an attempt with an unknown name, key or token, at most once a minute for the same.

    Args:
        recorder: of whom it is recorded.
        denied: the attempt; it does not say what was sent: people type passwords where names
            belong.
        typed: hash of what was sent; six bits of it tell attempts apart, so that of each action at
            most 64 events a minute are recorded.
    """
    _record_once(recorder, denied, f"unknown {typed.int % _TOLD_APART}")


def _record_once(recorder: Recorder, denied: AccessDenied, what: str) -> None:
    id_ = natural_id("denied", recorder.tenant_id, denied.action, what, int(time.time() // 60))
    with contextlib.suppress(VersionConflict):
        recorder.record(denied, of=id_, expected_version=MUST_NOT_EXIST)
