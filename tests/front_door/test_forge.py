"""The forge: everyday work through one object."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import Engine, select

import quantum_forge as qf
from quantum_forge.eventstore.database.engine import Database
from quantum_forge.projections.history.lineage import NoSuchRow
from quantum_forge.projections.registry import PROJECTIONS, UnknownProjection
from quantum_forge.schema.domains.molecules import molecule_id
from tests.support.molecules import created


def test_a_molecule_goes_from_event_to_row(forge: qf.Forge) -> None:
    """Identity, tenant and user are filled in; the row is there after catch_up."""
    recorded = forge.record(created("C"))
    folded = forge.catch_up("molecules")

    row = forge.table("molecules").first()
    assert folded == 1
    assert recorded.entity_id == molecule_id(forge.author.tenant_id, "C", 0, 1)
    assert row is not None
    assert (row.id, row.smiles, row.user_id) == (recorded.entity_id, "C", forge.author.user_id)


def test_a_record_without_its_entity_is_refused_and_nothing_is_written(forge: qf.Forge) -> None:
    """An event that begins nothing needs `of`."""
    with pytest.raises(qf.EventRefused, match="give its id"):
        forge.record(qf.MoleculeDeleted())
    with pytest.raises(qf.RuleBroken):
        forge.record(qf.MoleculeDeleted(), of=uuid4())
    assert list(forge.events()) == []


def test_a_record_follows_the_version_that_it_expects(forge: qf.Forge) -> None:
    """expected_version is checked against the stream."""
    methane = forge.record(created("C"), expected_version=0)
    with pytest.raises(qf.VersionConflict):
        forge.record(qf.MoleculeUpdated(name="methane"), of=methane, expected_version=2)
    updated = forge.record(qf.MoleculeUpdated(name="methane"), of=methane, expected_version=1)
    assert updated.version == 2


def test_molecule_identifies_and_records_once(forge: qf.Forge) -> None:
    """Two ways of writing methane are one molecule; a deleted one is recorded again."""
    pytest.importorskip("rdkit")
    methane = forge.molecule("C", name="methane")
    assert forge.molecule("[H]C") == methane
    assert [event.event_type for event in forge.events()] == ["molecule_created"]

    forge.record(qf.MoleculeDeleted(), of=methane)
    assert forge.molecule("C") == methane
    assert len(list(forge.events(entity=methane))) == 3


def test_an_event_of_a_molecule_without_its_identity_names_the_remedy() -> None:
    """Who gives the SMILES alone is told what fills in the rest."""
    with pytest.raises(TypeError, match=r"'charge'; forge\.molecule\(smiles\)"):
        qf.MoleculeCreated(smiles="C")  # type: ignore[call-arg]


def test_molecules_of_many_threads_are_recorded_once(forge: qf.Forge) -> None:
    """Threads share a forge; whoever is second finds the molecule present."""
    events = [created(smiles) for smiles in ("C", "CC", "CCC", "O")]

    def record(event: qf.MoleculeCreated) -> bool:
        try:
            forge.record(event)
        except qf.RuleBroken:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        succeeded = list(pool.map(record, events * 4))

    assert sum(succeeded) == 4
    assert len(list(forge.events())) == 4


def test_a_calculation_records_its_end_however_its_block_ends(forge: qf.Forge) -> None:
    """Completed or failed, with the molecule that it belongs to."""
    methane = forge.record(created("C"))
    with pytest.raises(ZeroDivisionError), forge.calculation(methane, method="GFN2-xTB"):
        1 / 0  # noqa: B018  # fails
    with forge.calculation(methane, method="GFN2-xTB") as second:
        second.fail("SCF not converged")
    forge.catch_up()

    rows = forge.table("calculations").order("started_at").rows()
    assert [row.status for row in rows] == ["failed", "failed"]
    assert {row.molecule_id for row in rows} == {methane.entity_id}
    assert rows[1].error_message == "SCF not converged"


def test_append_and_load_take_raw_events(forge: qf.Forge) -> None:
    """A repetition of either adds nothing."""
    first = [forge.new(created("C"), of=uuid4()), forge.new(created("CC"), of=uuid4())]
    second = [forge.new(created("CCC"), of=uuid4())]
    placed = forge.append(first)
    assert [one.appended for one in forge.append(first)] == [False, False]
    assert forge.load(second).appended == 1
    assert forge.load(second).repeated == 1
    assert [event.event_id for event in forge.events()][:2] == [one.event_id for one in placed]


def test_events_are_filtered(forge: qf.Forge) -> None:
    """By entity, type, author, time and position, forward and backward."""
    methane = forge.record(created("C"))
    forge.record(qf.MoleculeUpdated(name="methane"), of=methane)
    project = forge.record(qf.ProjectCreated(name="Malaria"))

    def types(**filters: object) -> list[str]:
        return [e.event_type for e in forge.events(**filters)]  # type: ignore[arg-type]

    assert types(entity=methane) == ["molecule_created", "molecule_updated"]
    assert types(types=qf.ProjectCreated) == ["project_created"]
    assert types(types=["molecule_updated", qf.ProjectCreated]) == [
        "molecule_updated",
        "project_created",
    ]
    assert types(user_id=uuid4()) == []
    assert types(after=methane.position, limit=1) == ["molecule_updated"]
    assert types(upto=methane.position) == ["molecule_created"]
    assert types(backward=True, limit=1) == ["project_created"]
    with pytest.raises(qf.EventRefused, match="did you mean project_created"):
        types(types="project_create")
    assert types(since="1h") == types()
    assert types(until=datetime.now(UTC) - timedelta(hours=1)) == []
    assert project.position == forge.position()
    with pytest.raises(qf.WrongMoment, match="not a time"):
        forge.events(since="yesterday")
    for wrong in (datetime.now(), date(2026, 1, 1), 5, True, 1.5):  # noqa: DTZ005  # the point
        with pytest.raises(qf.WrongMoment):
            forge.events(since=wrong)  # type: ignore[arg-type]
    for wrong in (datetime.now(), date(2026, 1, 1), True, 1.5):  # noqa: DTZ005
        with pytest.raises(qf.WrongMoment):
            forge.as_of("molecules", wrong)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="follow never ends"):
        forge.events(follow=True, backward=True)


def test_following_yields_what_another_thread_records(forge: qf.Forge) -> None:
    """First what is there, then each new event, until it is stopped."""
    forge.record(created("C"))
    stop = threading.Event()
    seen: list[str] = []
    arrived = threading.Event()

    def follow() -> None:
        for event in forge.events(follow=True, stop=stop):
            seen.append(event.event_type)
            if len(seen) == 2:
                arrived.set()

    thread = threading.Thread(target=follow)
    thread.start()
    forge.record(qf.ProjectCreated(name="Malaria"))
    assert arrived.wait(30)
    stop.set()
    thread.join(30)
    assert not thread.is_alive()
    assert seen == ["molecule_created", "project_created"]
    assert [e.event_type for e in forge.events(follow=True, limit=1)] == ["molecule_created"]


def test_an_iterator_that_follows_ends_with_the_forge(url: str) -> None:
    """Whether it waits for the next event, or is asked for one."""
    with qf.open(url) as forge:
        forge.record(created("C"))
        waiting, asked = (
            forge.events(follow=True),
            forge.events(follow=True, stop=threading.Event()),
        )
        assert next(waiting).event_type == next(asked).event_type == "molecule_created"
        forge.record(qf.ProjectCreated(name="Malaria"))
        closer = threading.Timer(0.2, forge.close)
        closer.start()
        assert next(waiting).event_type == "project_created"
        with pytest.raises(qf.ForgeClosed):
            next(waiting)
        closer.join()

    with pytest.raises(qf.ForgeClosed):
        next(asked)


def test_what_is_not_an_event_is_refused_with_what_is(forge: qf.Forge) -> None:
    """A class, None, or the event where `new` makes what is appended."""
    methane = created("C")
    for wrong in (None, qf.MoleculeDeleted):
        with pytest.raises(TypeError, match=r"record\(\) takes an event"):
            forge.record(wrong)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"append\(\) takes what new\(\) returns"):
        forge.append([methane])  # type: ignore[list-item]
    with pytest.raises(TypeError, match="a row's key is an id, a text"):
        forge.explain("molecules", None)  # type: ignore[arg-type]


def test_the_past_is_a_table_too(forge: qf.Forge) -> None:
    """as_of, diff and explain agree about what happened when."""
    methane = forge.record(created("C"))
    renamed = forge.record(qf.MoleculeUpdated(name="methane"), of=methane)
    forge.catch_up()

    before = forge.as_of("molecules", methane.position).first()
    assert before is not None
    assert before.name is None
    assert forge.as_of("molecules", 0).count() == 0
    changed = forge.diff("molecules", methane.position)
    assert [change.columns for change in changed.examples] != []
    assert "name" in changed.examples[0].columns
    assert forge.diff("molecules", 0, methane.position).added == 1

    lineage = forge.explain("molecules", methane)
    (name,) = [origin for origin in lineage.origins if origin.column == "name"]
    assert name.value == "methane"
    assert name.positions == [renamed.position]
    assert forge.explain("molecules", str(methane.entity_id)[:8]).key == lineage.key
    then = forge.explain("molecules", methane, at=methane.position)
    assert [step.event.event_type for step in then.steps] == ["molecule_created"]
    with pytest.raises(NoSuchRow):
        forge.explain("molecules", uuid4())


def test_read_models_are_projected_verified_and_rebuilt(forge: qf.Forge) -> None:
    """In the background, and on request."""
    with forge.projecting("molecules"):
        methane = forge.record(created("C"))
        forge.wait_for("molecules", methane.position)
        assert forge.table("molecules").count() == 1
    assert all(one.agrees for one in forge.verify("molecules"))
    (rebuilt,) = forge.rebuild("molecules")
    assert (rebuilt.events, rebuilt.swapped, bool(rebuilt.difference)) == (1, True, False)
    with pytest.raises(UnknownProjection):
        forge.catch_up("molecule")


def test_verify_finds_a_row_that_somebody_changed(forge: qf.Forge) -> None:
    """It does not agree by default."""
    forge.record(created("C"))
    forge.catch_up("molecules")
    with forge.engine.begin() as connection:
        connection.execute(forge.tables["molecules"].update().values(smiles="CC"))
    (found,) = forge.verify("molecules")
    assert not found.agrees
    assert found.rows.changed == 1


def test_status_and_doctor_look_at_the_whole_installation(forge: qf.Forge) -> None:
    """Status counts what is in the log; the doctor returns a finding per check."""
    forge.record(created("C"))
    assert forge.status(exact=True).events == {"molecule_created": 1}
    findings = forge.doctor()
    assert {"server", "migrations", "append-only"} <= {finding.check for finding in findings}


def test_every_read_model_is_a_table(forge: qf.Forge) -> None:
    """Each can be queried, empty as it is."""
    assert set(forge.tables) == set(PROJECTIONS)
    for name in forge.tables:
        assert forge.table(name).rows() == []


def test_users_and_keys_act_for_the_tenant(forge: qf.Forge) -> None:
    """Register, log in, issue a key, use it."""
    password = qf.Secret("correct horse battery staple")
    ada = forge.users.register(email="ada@example.org", username="ada", password=password)
    assert forge.users.log_in("ada", password) == ada
    issued = forge.keys.issue(ada, name="notebook", scopes=["read"])
    assert forge.keys.use(issued.key, scope="read").user_id == ada


def test_no_row_shows_a_hash_of_a_secret(forge: qf.Forge) -> None:
    """Not now, and not as of a time; other columns are there."""
    password = qf.Secret("correct horse battery staple")
    forge.users.register(email="ada@example.org", username="ada", password=password)
    forge.catch_up()

    for query in (forge.table("users"), forge.as_of("users", forge.position())):
        (row,) = query.rows()
        assert "hashed_password" not in row.__struct_fields__
        assert getattr(row, "username") == "ada"  # noqa: B009  # mypy knows no columns


def test_a_dataset_is_exported_reproduced_and_compared(forge: qf.Forge, tmp_path: Path) -> None:
    """An empty one, which is the same when it is made again."""
    forge.catch_up()
    manifest = forge.datasets.export(tmp_path / "empty.csv", format="csv", as_of=forge.position())
    assert manifest.rows == 0
    assert forge.datasets.reproduce(manifest).manifest.content_sha256 == manifest.content_sha256
    assert forge.datasets.diff(tmp_path / "empty.csv").added == 0
    assert [event.event_type for event in forge.events(types=qf.DataExported)]


# Opening and closing


def test_settings_come_from_the_environment(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Database, tenant, user and home; arguments win over them."""
    tenant_id, user_id, other = uuid4(), uuid4(), uuid4()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATABASE_URL", url)
    monkeypatch.setenv("QFORGE_TENANT_ID", str(tenant_id))
    monkeypatch.setenv("QFORGE_USER_ID", str(user_id))
    monkeypatch.setenv("QFORGE_HOME", str(tmp_path))
    with qf.open() as forge:
        assert (forge.author.tenant_id, forge.author.user_id) == (tenant_id, user_id)
        assert forge.settings.home == tmp_path
        forge.record(created("C"))
        (event,) = forge.events()
        assert (event.tenant_id, event.user_id) == (tenant_id, user_id)
    with qf.open(tenant_id=other) as forge:
        assert forge.author.tenant_id == other


def test_two_forges_of_two_tenants_see_nothing_of_each_other(url: str, tmp_path: Path) -> None:
    """Events, rows, the past and explanations are each tenant's own, in one process."""
    with (
        qf.open(url, home=tmp_path, tenant_id=uuid4()) as mine,
        qf.open(url, home=tmp_path, tenant_id=uuid4()) as others,
    ):
        methane = mine.record(created("C"))
        ethane = others.record(created("CC"))
        mine.catch_up()
        for forge, smiles in ((mine, "C"), (others, "CC")):
            assert [event.data["smiles"] for event in forge.events()] == [smiles]
            assert [row.smiles for row in forge.table("molecules")] == [smiles]
            past = forge.as_of("molecules", ethane.position)
            assert [row.smiles for row in past] == [smiles]
            assert forge.diff("molecules", 0).added == 1
        with pytest.raises(NoSuchRow):
            others.explain("molecules", methane)
        assert others.table("molecules").where(id=methane.entity_id).rows() == []
        assert others.table("molecules").where(smiles=["C"]).count() == 0


def test_a_database_that_is_away_is_one_clear_error(tmp_path: Path) -> None:
    """The error says what was tried, without the password, and what to do."""
    with pytest.raises(qf.DatabaseUnavailable, match="start the server") as raised:
        qf.open("postgresql://ada:geheim@127.0.0.1:1/nothing", home=tmp_path)
    assert "geheim" not in str(raised.value)


def test_a_database_without_tables_is_left_alone(empty_database: Database, tmp_path: Path) -> None:
    """Only the embedded database is migrated by itself."""
    from quantum_forge.eventstore.base.errors import NotMigrated
    from quantum_forge.eventstore.database.engine import libpq_url

    with pytest.raises(NotMigrated, match="qforge db upgrade"):
        qf.open(libpq_url(empty_database.url), home=tmp_path)


def test_a_closed_forge_says_so(url: str, tmp_path: Path) -> None:
    """Closing twice is harmless; everything else raises the same error, before it does anything."""
    forge = qf.open(url, home=tmp_path)
    table = forge.table("molecules")
    forge.close()
    forge.close()
    assert forge.is_closed
    calls = [
        lambda: forge.record(created("C")),
        lambda: forge.calculation(None, method="GFN2-xTB"),
        lambda: forge.append([]),
        lambda: forge.load([]),
        forge.events,
        lambda: forge.table("molecules"),
        table.rows,
        lambda: forge.query(select(forge.tables["molecules"])),
        lambda: forge.as_of("molecules", 0),
        lambda: forge.diff("molecules", 0),
        lambda: forge.explain("molecules", uuid4()),
        forge.catch_up,
        forge.projecting,
        forge.rebuild,
        forge.verify,
        forge.status,
        forge.doctor,
        lambda: forge.datasets,
        lambda: forge.users,
        lambda: forge.keys,
        forge.connect,
        forge.__enter__,
    ]
    for call in calls:
        with pytest.raises(qf.ForgeClosed, match="open another one"):
            call()


def test_closing_gives_back_every_connection(url: str, tmp_path: Path, engine: Engine) -> None:
    """A forge in a `with` leaves no session at the server."""
    with qf.open(url, home=tmp_path) as forge:
        forge.record(created("C"))
        iterator = forge.events()
        next(iterator)
        iterator.close()  # type: ignore[attr-defined]  # a generator
    with engine.connect() as connection:
        text = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
        for _ in range(100):
            sessions = connection.exec_driver_sql(text).scalar_one()
            if sessions == 1:
                break
            connection.exec_driver_sql("SELECT pg_sleep(0.05)")
    assert sessions == 1


@pytest.mark.parametrize("smiles", ["C\nCCO", "C CCO", "C\tCCO |$a$|", "C\0", "CC junk(((", " "])
def test_no_part_of_a_smiles_is_left_out(forge: qf.Forge, smiles: str) -> None:
    """RDKit would read the rest, and methane would be recorded for ethanol."""
    with pytest.raises(qf.QuantumForgeError):
        forge.molecule(smiles)
    assert list(forge.events()) == []


def test_open_says_which_argument_is_wrong(tmp_path: Path) -> None:
    """A folder may be a text; an id that is not a UUID is refused before anything is opened."""
    for name in ("tenant_id", "user_id"):
        with pytest.raises(qf.QuantumForgeError, match=f"{name} must be a UUID, not 'abc'"):
            qf.open(home=str(tmp_path), **{name: "abc"})  # type: ignore[arg-type]
