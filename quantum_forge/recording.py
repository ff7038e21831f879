"""Methods of a forge that record, by the rules or raw."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING
from uuid import UUID

import msgspec

from quantum_forge.door import Door
from quantum_forge.entities import Entity, id_of
from quantum_forge.eventstore.actions.by_name import Recorded, record_event
from quantum_forge.eventstore.base.envelope import (
    ANY_VERSION,
    MUST_NOT_EXIST,
    NewEvent,
    Placed,
    Stream,
)
from quantum_forge.eventstore.base.errors import QuantumForgeError, RuleBroken
from quantum_forge.eventstore.log.append import append as append_events
from quantum_forge.eventstore.recording.calculation import CalculationRecording, Classify
from quantum_forge.eventstore.recording.standings import read_standings
from quantum_forge.schema.domains.molecules import MoleculeCreated, molecule_id
from quantum_forge.schema.language.event import Event

if TYPE_CHECKING:
    from quantum_forge.eventstore.log.load import EncodedEvent, Loaded


class RdkitMissing(QuantumForgeError):
    """RDKit, which identifies molecules, is not installed."""

    exit_status = 2

    def __init__(self) -> None:
        super().__init__(
            "molecules are identified by RDKit, which is not installed: run "
            "pip install 'quantum-forge[xtb]', or record a MoleculeCreated event of your own"
        )


def record(
    forge: Door, event: Event, *, of: Entity | None = None, expected_version: int | None = None
) -> Recorded:
    """Record that something happened to an entity, if the rules of its lifecycle allow it.

    Args:
        event: what happened, such as `MoleculeDeleted()`; every event type is in
            the catalogue.
        of: to which entity. Without it, an event that begins an entity begins a new one, or the
            one that its fields identify.
        expected_version: of the entity's stream before, where only that will do; 0: no events.

    Returns:
        Where the event is, and the id of its entity; other methods accept it as the entity.

    Raises:
        EventRefused: when a field does not fit, or the event needs an entity and has none.
        RuleBroken: when it may not happen in the present state of the entity.
        VersionConflict: when the stream is not at the expected version.
    """
    forge._require_open()
    if not isinstance(event, Event):
        raise TypeError(f"record() takes an event, such as MoleculeDeleted(), not {event!r}")
    return record_event(
        forge._recorder.without_spool(),
        event,
        of=None if of is None else id_of(of),
        expected_version=expected_version,
        check=_refuse_unusable,
    )


def _refuse_unusable(event: Event) -> None:
    # Who only reads needs nothing of the runner.
    from quantum_forge.runner.engines.preferences import refuse_unusable

    refuse_unusable(event)


def molecule(
    forge: Door,
    smiles: str,
    *,
    name: str | None = None,
    charge: int | None = None,
    multiplicity: int | None = None,
) -> UUID:
    """Return the id of a molecule, which is recorded unless the log has it. Needs RDKit.

    Args:
        smiles: in any notation; the canonical one is recorded.
        name: recorded with a new molecule.
        charge: in e; the formal charge of the SMILES unless given.
        multiplicity: 2S + 1; the lowest that the number of electrons allows unless given.

    Raises:
        InputError: when the SMILES is no molecule, or charge or multiplicity contradict it.
        RdkitMissing: when RDKit is not installed.
    """
    forge._require_open()
    event = identified(smiles, name=name, charge=charge, multiplicity=multiplicity)
    tenant_id = forge.author.tenant_id
    id_ = molecule_id(tenant_id, event.structure, event.charge, event.multiplicity)
    stream = Stream(tenant_id, event.entity_type, id_)
    with forge.connect() as connection:
        state = read_standings(connection, [stream])[stream].state
    if state != "present":
        try:
            record(forge, event)
        except RuleBroken as broken:
            if broken.state != "present":
                raise  # somebody else was faster otherwise
    return id_


def calculation(
    forge: Door,
    molecule: Entity | None,
    *,
    method: str,
    program: str = "unknown",
    program_version: str = "unknown",
    charge: int | None = None,
    multiplicity: int | None = None,
    solvation_model: str | None = None,
    timeout_seconds: float = 3600.0,
    batch_id: UUID | None = None,
    calculation_id: UUID | None = None,
    expected_version: int | None = MUST_NOT_EXIST,
    attempt: int = 1,
    classify: Classify | None = None,
) -> CalculationRecording:
    """Record an attempt at a calculation: its start when a `with` begins, its end within it.

        with forge.calculation(methane, method="GFN2-xTB") as calculation:
            calculation.complete(compute())

    A block that raises records a failure; one that is interrupted, or left without an end,
    records the attempt as lost. While the database is away, the events go to the spool.

    Args:
        molecule: that is calculated; None where the input is no molecule.
        method: such as GFN2-xTB.
        program: that computes.
        program_version: of it.
        charge: in e.
        multiplicity: 2S + 1.
        solvation_model: such as ALPB(water); None for the gas phase.
        timeout_seconds: in s; after this time anyone may record the attempt as lost.
        batch_id: that it belongs to.
        calculation_id: of an earlier attempt, or a natural id; a new one if None.
        expected_version: of the calculation's stream before this attempt.
        attempt: counts from 1.
        classify: returns what an exception means; without it, that is an unknown error.
    """
    forge._require_open()
    return forge._recorder.calculation(
        None if molecule is None else id_of(molecule),
        method=method,
        program=program,
        program_version=program_version,
        charge=charge,
        multiplicity=multiplicity,
        solvation_model=solvation_model,
        timeout_seconds=timeout_seconds,
        batch_id=batch_id,
        calculation_id=calculation_id,
        expected_version=expected_version,
        attempt=attempt,
        classify=classify,
    )


def new(
    forge: Door, event: Event, *, of: Entity, expected_version: int | None = ANY_VERSION
) -> NewEvent:
    """Return an event of this author, now, for `append` or `load`; nothing is written.

    Args:
        event: what happened.
        of: to which entity, whether the log has it or not.
        expected_version: of its stream before: a number, or 0 for no events yet, or -1 for at
            least one; None: any. `load` takes None only.
    """
    return forge.author.new(id_of(of), event, expected_version=expected_version)


def append(forge: Door, events: Sequence[NewEvent]) -> list[Placed]:
    """Append events to their streams, all or none, in the given order, without any rules.

    An event whose id is in its stream already is not appended again: repeat the call with the
    same events until it is known to have succeeded.

    Returns:
        Where each event is, in the given order.

    Raises:
        AccessRefused: when it takes an admin: for what other users did, or for accounts.
        EventRefused: when a payload does not fit its type; nothing was sent.
        EventTooLarge, AppendTooLarge: beyond the limits of the log; nothing was sent.
        VersionConflict: when a stream is not at its expected version.
        EventIdReused: when an id comes back with other content.
        StreamLocked: when another transaction holds a stream for too long.
    """
    events = list(events)
    for event in events:
        if not isinstance(event, NewEvent):
            raise TypeError(f"append() takes what new() returns, not {event!r}; or use record()")
        forge._recorder.permissions.require_all_of(forge.author, event)
    with forge.connect() as connection, connection.begin():
        return append_events(connection, events)


def load(
    forge: Door,
    events: "Iterable[NewEvent | EncodedEvent]",
    *,
    on_chunk: "Callable[[Loaded], None]" = lambda _: None,
) -> "Loaded":
    """Append any number of events in bounded memory, in chunks that each commit, without rules.

    What is committed when a load fails stays; the same load again appends exactly the rest.

    Args:
        events: in order; read once.
        on_chunk: called after each commit, with what the load has done so far.

    Returns:
        How many were appended, and how many were in the log already.

    Raises:
        AccessRefused: when it takes an admin: for what other users did, or for accounts.
        EventRefused: when an event does not fit its type, or expects a version.
        EventTooLarge: when an event is larger than the log takes.
        EventIdReused: when an id comes back with other content.
    """
    from quantum_forge.eventstore.log.load import load as load_events

    def permitted() -> "Iterator[NewEvent | EncodedEvent]":
        for event in events:
            forge._recorder.permissions.require_all_of(forge.author, event)
            yield event

    return load_events(forge.engine, permitted(), on_chunk=on_chunk)


def identified(
    smiles: str,
    *,
    name: str | None = None,
    charge: int | None = None,
    multiplicity: int | None = None,
) -> MoleculeCreated:
    """Return the event that records a molecule, whose arguments are those of `molecule`.

    Raises:
        InputError, RdkitMissing: see `molecule`.
    """
    try:
        from quantum_forge.runner.campaign.outcomes import created
        from quantum_forge.runner.molecules.identity import identify
        from quantum_forge.runner.molecules.records import Input
    except ModuleNotFoundError as error:
        raise RdkitMissing from error
    given = Input(number=1, source=smiles, smiles=smiles, name=name)
    event = created(identify(given, charge=charge, multiplicity=multiplicity))
    return msgspec.structs.replace(event, generation_method="manual")
