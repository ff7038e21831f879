"""What an administrator has set for a database or a login does not change what results mean."""

import asyncio
from uuid import uuid4

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.engine import make_url

from quantum_forge.eventstore.base.errors import UnsupportedPostgres
from quantum_forge.eventstore.database.engine import Database, make_engine, require_supported
from quantum_forge.eventstore.database.session_settings import SESSION_SETTINGS
from quantum_forge.eventstore.server.embedded import EmbeddedServer
from quantum_forge.projections.history.verify import verify
from quantum_forge.projections.project.projector import catch_up
from quantum_forge.projections.registry import PROJECTIONS
from tests.support.appending import append_and_commit
from tests.support.chemical_history import ONE, completed, started

HOSTILE = {
    "client_encoding": "LATIN1",
    "DateStyle": "SQL, DMY",
    "IntervalStyle": "iso_8601",
    "TimeZone": "Pacific/Chatham",
    "extra_float_digits": "-15",
    "bytea_output": "escape",
    "standard_conforming_strings": "off",
    "default_transaction_isolation": "serializable",
    "search_path": "elsewhere",
}


@pytest.fixture
def hostile(database: Database, administrator: Engine) -> Database:
    """Return a database for which everything is set that a session inherits."""
    assert HOSTILE.keys() == SESSION_SETTINGS.keys()
    with administrator.connect() as connection:
        for name, value in HOSTILE.items():
            connection.execute(
                text(f"ALTER DATABASE {database.url.database} SET {name} TO '{value}'")
            )
    database.engine.dispose()
    return database


def test_a_session_has_the_settings_on_which_results_depend(hostile: Database) -> None:
    """Whatever the database says: those of every new connection."""
    with hostile.engine.connect() as connection:
        found = {
            name: connection.scalar(text("SELECT current_setting(:name)"), {"name": name})
            for name in SESSION_SETTINGS
        }
        isolation = connection.scalar(text("SHOW transaction_isolation"))

    assert found == SESSION_SETTINGS
    assert isolation == "read committed"


async def _settings(url: str) -> dict[str, str]:
    from quantum_forge.eventstore.database.async_engine import make_async_engine

    engine = make_async_engine(make_url(url))
    try:
        async with engine.connect() as connection:
            return {
                name: (await connection.execute(text(f"SHOW {name}"))).scalar_one()
                for name in SESSION_SETTINGS
            }
    finally:
        await engine.dispose()


def test_a_session_of_asyncio_has_them_too(hostile: Database) -> None:
    """The same driver connects differently there."""
    url = hostile.url.render_as_string(hide_password=False)

    assert asyncio.run(_settings(url)) == SESSION_SETTINGS


def test_energies_keep_their_digits_and_times_their_moment(hostile: Database) -> None:
    """What was appended, folded and read is what was measured, to the last bit."""
    energies = {uuid4(): -5.070544443331719, uuid4(): 0.1 + 0.2, uuid4(): 5e-324}
    for id_, energy in energies.items():
        append_and_commit(
            hostile.engine, started(id_, "C"), completed(id_, "C", energy=energy, at=ONE)
        )
    catch_up(hostile.engine, PROJECTIONS.values())

    with hostile.engine.connect() as connection:
        rows = connection.execute(
            text("SELECT id, energy, energy::text AS shown, completed_at FROM calculations")
        ).all()
    assert {row.id: row.energy for row in rows} == energies
    assert {row.id: float(row.shown) for row in rows} == energies
    assert {row.completed_at for row in rows} == {ONE}
    assert verify(hostile.engine, PROJECTIONS["calculations"]).agrees


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII"])
def test_a_database_that_cannot_hold_every_name_is_refused(
    server: EmbeddedServer, administrator: Engine, encoding: str
) -> None:
    """Now, in one sentence, rather than at the first molecule with a Greek letter."""
    with administrator.connect() as connection:
        connection.execute(
            text(
                f"CREATE DATABASE {encoding.lower()} TEMPLATE template0 ENCODING '{encoding}'"
                " LOCALE 'C'"
            )
        )
    engine = make_engine(server.url(encoding.lower()))
    with pytest.raises(UnsupportedPostgres, match=f"encoding {encoding}.*ENCODING 'UTF8'"):
        require_supported(engine)
    engine.dispose()
