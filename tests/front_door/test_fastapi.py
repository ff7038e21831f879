"""The dependencies for FastAPI, by the example that the documentation shows."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, text

pytest.importorskip("fastapi")
pytest.importorskip("httpx2")
pytest.importorskip("greenlet")
pytest.importorskip("rdkit")


@pytest.fixture
def client(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Return a client of the example, whose settings come from the environment."""
    from fastapi.testclient import TestClient

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATABASE_URL", url)
    monkeypatch.setenv("QFORGE_HOME", str(tmp_path))
    with TestClient(import_module("examples.web_service").app) as client:
        yield client


def test_the_example_records_finds_and_lists(client: Any) -> None:
    """By both dependencies."""
    answers = [client.post("/molecules", params={"smiles": smiles}) for smiles in ("C", "CCO", "C")]
    assert [answer.status_code for answer in answers] == [201, 201, 201]
    assert answers[0].json() == answers[2].json()

    found = client.get("/molecules", params={"heavier_than": 20}).json()
    assert [row["smiles"] for row in found] == ["CCO"]
    events = client.get("/events").json()
    assert [event["event_type"] for event in events] == ["molecule_created"] * 2
    assert [event["data"]["smiles"] for event in events] == ["CCO", "C"]


def test_what_is_wrong_is_one_line(client: Any) -> None:
    """A SMILES that is no molecule, with its reason."""
    answer = client.post("/molecules", params={"smiles": "C("})
    assert answer.status_code == 422
    assert "syntax error" in answer.json()["detail"]


def test_concurrent_requests_share_the_forge(client: Any) -> None:
    """Each is answered, and one molecule is one event."""
    with ThreadPoolExecutor(8) as pool:
        answers = list(
            pool.map(lambda _: client.post("/molecules", params={"smiles": "C"}), range(24))
        )
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert len(client.get("/events").json()) == 1


def test_the_end_of_the_application_closes_the_forge(
    url: str, tmp_path: Path, engine: Engine
) -> None:
    """No session is left at the server, and a request afterwards says what is missing."""
    fastapi = import_module("fastapi")
    testclient = import_module("fastapi.testclient")
    door = import_module("quantum_forge.fastapi")
    app = fastapi.FastAPI(lifespan=door.opened(url, home=tmp_path))

    @app.get("/position")  # type: ignore[untyped-decorator, unused-ignore]  # FastAPI may be absent
    async def position(forge: Any = fastapi.Depends(door.get_async_db)) -> int:  # noqa: B008
        return int(await forge.position())

    with testclient.TestClient(app) as client:
        assert client.get("/position").json() == 0
    with pytest.raises(door.NotOpened, match="opened"):
        testclient.TestClient(app).get("/position")
    with engine.connect() as connection:
        count = text("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()")
        for _ in range(100):
            sessions = connection.execute(count).scalar_one()
            if sessions == 1:
                break
            connection.execute(text("SELECT pg_sleep(0.05)"))
    assert sessions == 1
