"""Errors of the database, as clients get them."""

import psycopg
import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from quantum_forge.eventstore.base.errors import (
    ConnectionLost,
    NotAllowed,
    QuantumForgeError,
    TooManyConnections,
)
from quantum_forge.web.rest.errors import RestError, from_database, status_of


@pytest.mark.parametrize(
    ("states", "status"),
    [
        (["08006", "53300", "53000"], 503),
        (["25006"], 405),
        (["25P02", "40001", "40P01", "54001", "55P03", "57014", "58000", "XX000", "53400"], 500),
        (["P0002", "42P17"], 500),
        (["28P01", "0LP01", "0P000", "42501"], 403),
        (["23503", "23505"], 409),
        (["42883", "42P01"], 404),
        (["P0001", "23502", "23514", "22P02", "42703", "42601", "PTabc"], 400),
        (["PT402"], 402),
    ],
)
def test_a_sqlstate_has_the_status_of_postgrest(states: list[str], status: int) -> None:
    """Clients act on the status: they retry after 503 and log in after 401."""
    assert {status_of(state) for state in states} == {status}
    assert status_of("42501", anonymous=True) == 401


@pytest.mark.parametrize(
    ("statement", "status", "code"),
    [
        (
            "DO $$ BEGIN RAISE 'pay first' USING ERRCODE = 'PT402', HINT = 'pay'; END $$",
            402,
            "PT402",
        ),
        ("SET LOCAL statement_timeout = 1; SELECT pg_sleep(9)", 500, "57014"),
        ("SELECT 1/0", 400, "22012"),
    ],
)
def test_an_error_of_postgresql_is_passed_on(
    connection: Connection, statement: str, status: int, code: str
) -> None:
    """With its message, and its hint."""
    with pytest.raises((DBAPIError, QuantumForgeError)) as raised:
        connection.execute(text(statement))
    error = from_database(raised.value)

    assert (error.status, error.code) == (status, code)
    assert error.message
    assert error.hint == ("pay" if code == "PT402" else None)
    assert error.headers["Proxy-Status"] == f"PostgREST; error={code}"


def test_who_may_not_is_told_so_or_asked_to_say_who_they_are() -> None:
    """403 with credentials, 401 without; the engine's own error hides nothing of it."""
    cause = psycopg.errors.InsufficientPrivilege("permission denied for table users")
    refused = NotAllowed("permission denied for table users")
    refused.__cause__ = cause

    assert from_database(refused).status == 403
    anonymous = from_database(refused, anonymous=True)
    assert (anonymous.status, anonymous.headers["WWW-Authenticate"]) == (401, "Bearer")
    assert from_database(anonymous) is anonymous


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (PoolTimeout("QueuePool limit reached"), 504, "PGRST003"),
        (ConnectionLost("x", "the connection was lost", "again"), 503, "PGRST001"),
        (TooManyConnections("x", "no free connection", "again"), 503, "PGRST001"),
        (psycopg.OperationalError("server closed the connection"), 503, "PGRST001"),
    ],
)
def test_a_database_that_is_away_is_worth_another_request(
    error: BaseException, status: int, code: str
) -> None:
    """Clients send a GET again after Retry-After; nothing of the cause, such as hosts, is told."""
    found = from_database(error)

    assert (found.status, found.code) == (status, code)
    assert found.headers["Retry-After"] == "1"
    assert "closed" not in found.body.decode()


def test_an_error_of_ours_is_no_trouble_of_the_database() -> None:
    """It is told as it is, with status 500."""
    error = from_database(QuantumForgeError("something is wrong"))
    assert (error.status, error.message) == (500, "something is wrong")
    assert isinstance(error, RestError)
