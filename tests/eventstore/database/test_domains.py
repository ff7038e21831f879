"""Own domains: one file outside the package adds event types and tables to an installation."""

import json
from collections.abc import Iterator, Mapping
from hashlib import sha256
from pathlib import Path

import pytest
from sqlalchemy import Engine, inspect, text

from quantum_forge.eventstore.base.errors import EventRefused
from quantum_forge.eventstore.database.engine import Database, libpq_url
from quantum_forge.eventstore.log.read import Filter, read_all
from tests.conftest import Qforge
from tests.support.one_process import OneProcess

RAMAN = "0199b7c0-0000-7000-8000-000000000001"

DOMAIN = '''
"""Instruments that measure spectra."""

from sqlalchemy import BigInteger, Double, Text, Uuid

from quantum_forge.schema.language.event import Event, event
from quantum_forge.schema.language.fold import count
from quantum_forge.schema.language.projection import projection
from quantum_forge.schema.language.table import column, read_model
from quantum_forge.schema.language.value import entity_id


@event("instrument")
class SpectrumMeasured(Event, frozen=True, kw_only=True):
    """A spectrum was measured; its peak in nm."""

    peak: float
    quality: str


instruments = read_model(
    "instruments",
    "One row per instrument; 100% of them",
    [column("id", Uuid, "The instrument")],
    column("peak", Double, "Peak of the last spectrum in nm", required=True),
    column("spectra", BigInteger, "Number of spectra", required=True),
)
projection(
    instruments,
    events=[SpectrumMeasured],
    key={"id": entity_id},
    columns={"spectra": count(SpectrumMeasured)},
)
'''


@pytest.fixture
def qforge(database: Database, tmp_path: Path) -> Iterator[Qforge]:
    """Return a function that runs the command line, in one process for each domain."""
    qforge = OneProcess(tmp_path, DATABASE_URL=libpq_url(database.url))
    yield qforge
    qforge.close()


def write_domain(directory: Path, source: str = DOMAIN) -> Mapping[str, str]:
    """Write the module mylab.spectra; return the variables of a process that uses it."""
    package = directory / "lab" / "mylab"
    package.mkdir(parents=True, exist_ok=True)
    (package / "spectra.py").write_text(source, "utf-8")
    return {
        "QFORGE_DOMAINS": "mylab.spectra",
        "PYTHONPATH": str(directory / "lab"),
        "SOURCE": sha256(source.encode()).hexdigest(),  # a changed one is loaded by another process
    }


def measure(qforge: Qforge, env: Mapping[str, str], peak: float) -> None:
    """Record a spectrum of the one instrument."""
    data = json.dumps({"peak": peak, "quality": "good"})
    qforge("record", "spectrum_measured", "--entity-id", RAMAN, "--data", data, env=env)


def tables(engine: Engine) -> set[str]:
    """The tables of the database."""
    return set(inspect(engine).get_table_names())


def test_a_new_table_costs_one_file(qforge: Qforge, engine: Engine, tmp_path: Path) -> None:
    """Migrated, recorded, projected, verified, rebuilt, seen in the past, exported, and undone."""
    env = write_domain(tmp_path)

    qforge("db", "upgrade", env=env)
    measure(qforge, env, 520.5)
    measure(qforge, env, 498.0)
    qforge("project", "--once", env=env)
    qforge("verify", "instruments", env=env)
    qforge("rebuild", "instruments", env=env)
    past = json.loads(qforge("as-of", "1", "instruments", "--json", env=env).stdout)
    explained = qforge("explain", "instruments", RAMAN, env=env).stdout
    listed = qforge("events", "list", "--type", "spectrum_measured", env=env).stdout
    qforge("events", "export", "log.jsonl", env=env)
    doctor = json.loads(qforge("doctor", "--json", env=env, status=None).stdout)

    assert "instruments" in tables(engine)
    with engine.connect() as connection:
        now = connection.execute(text("SELECT peak, spectra FROM instruments")).one()
        policies = connection.scalars(
            text("SELECT policyname FROM pg_policies WHERE tablename = 'instruments'")
        ).all()
        comment = connection.scalar(text("SELECT obj_description('instruments'::regclass)"))
    assert now == (498.0, 2)
    assert comment == "One row per instrument; 100% of them"
    assert set(policies) == {"own_tenant", "every_tenant"}
    assert [(row["peak"], row["spectra"]) for row in past] == [(520.5, 1)]
    assert "spectrum_measured" in explained
    assert listed.count("spectrum_measured") == 2
    assert (tmp_path / "log.jsonl").read_text("utf-8").count("spectrum_measured") == 2
    assert "instruments" not in json.dumps(doctor)

    qforge("db", "downgrade", "base", "--yes", env=env)
    assert "instruments" not in tables(engine)
    qforge("db", "upgrade", env=env)
    assert "instruments" in tables(engine)


def test_an_installed_package_adds_its_domain_by_an_entry_point(
    qforge: Qforge, engine: Engine, tmp_path: Path
) -> None:
    """Without QFORGE_DOMAINS; one that names no module is a clear error."""
    variables = {"PYTHONPATH": write_domain(tmp_path)["PYTHONPATH"]}
    installed = tmp_path / "lab" / "mylab-1.0.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: mylab\nVersion: 1.0\n")
    points = "[quantum_forge.domains]\nspectra = mylab.spectra\n"
    (installed / "entry_points.txt").write_text(points)

    qforge("db", "upgrade", env=variables)
    measure(qforge, variables, 520.5)
    qforge("project", "--once", env=variables)

    with engine.connect() as connection:
        assert connection.scalar(text("SELECT peak FROM instruments")) == 520.5

    (installed / "entry_points.txt").write_text(points.replace("spectra\n", "nothing\n"))
    assert "no module mylab.nothing" in qforge("status", env=variables, status=2).stderr


def test_a_process_without_the_domain_goes_on(
    qforge: Qforge, engine: Engine, tmp_path: Path
) -> None:
    """It lists and exports the events, leaves the table alone, and can migrate down."""
    env = write_domain(tmp_path)
    qforge("db", "upgrade", env=env)
    measure(qforge, env, 520.5)

    listed = qforge("events", "list", "--json").stdout
    qforge("project", "--once")
    qforge("status")
    qforge("events", "export", "log.jsonl")
    doctor = qforge("doctor", "--json", status=None).stdout
    with engine.connect() as connection:
        (event,) = read_all(connection, where=Filter(types=["spectrum_measured"]))
        peak = event.data["peak"]
        with pytest.raises(EventRefused, match="QFORGE_DOMAINS"):
            _ = event.event

    assert "spectrum_measured" in listed
    assert peak == 520.5
    assert "instruments" not in doctor
    qforge("project", "--once", env=env)
    qforge("verify", "instruments", env=env)
    qforge("db", "downgrade", "base", "--yes")
    assert "instruments" not in tables(engine)


def test_a_column_that_the_declaration_gains_is_added(
    qforge: Qforge, engine: Engine, tmp_path: Path
) -> None:
    """Commands ask for the upgrade, which adds it; a rebuild fills it."""
    env = write_domain(tmp_path)
    qforge("db", "upgrade", env=env)
    measure(qforge, env, 520.5)
    qforge("project", "--once", env=env)

    gained = '    column("quality", Text, "Quality of the last spectrum", required=True),\n)\nproj'
    env = write_domain(tmp_path, DOMAIN.replace(")\nproj", gained, 1))
    refused = qforge("project", "--once", env=env, status=2).stderr
    qforge("db", "upgrade", env=env)
    qforge("rebuild", "instruments", env=env)
    qforge("verify", "instruments", env=env)
    again = qforge("db", "upgrade", env=env).stderr

    assert "instruments" in refused
    assert "qforge db upgrade" in refused
    assert "already" in again
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT quality FROM instruments")) == "good"


def test_a_column_of_another_type_is_refused_with_its_remedy(
    qforge: Qforge, engine: Engine, tmp_path: Path
) -> None:
    """The remedy works: the table is made anew, and filled from the log."""
    env = write_domain(tmp_path)
    qforge("db", "upgrade", env=env)
    measure(qforge, env, 520.5)
    qforge("project", "--once", env=env)

    changed = DOMAIN.replace('"peak", Double', '"peak", Numeric')
    env = write_domain(tmp_path, changed.replace("import BigInteger", "import Numeric, BigInteger"))
    refused = qforge("db", "upgrade", env=env, status=2).stderr
    assert "peak" in refused
    assert "declared as numeric" in refused
    remedy = refused.strip().rpartition("qforge ")[2]
    assert remedy == "rebuild instruments"

    qforge(*remedy.split(), env=env)
    qforge("db", "upgrade", env=env)
    measure(qforge, env, 521.5)
    qforge("project", "--once", env=env)
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT spectra FROM instruments")) == 2


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (DOMAIN.replace("SpectrumMeasured", "MoleculeCreated"), "event type 'molecule_created'"),
        (DOMAIN.replace('"instruments"', '"calculations"'), "table 'calculations' is declared"),
        (DOMAIN.replace('"instruments"', '"event_logs"'), "table 'event_logs' is declared twice"),
        (DOMAIN.replace('"spectra"', '"spectrums"', 1), "spectra is not a column"),
        ("import no_such_module", "no_such_module"),
        ("raise SystemExit(3)", "3"),
        (DOMAIN.replace('"instruments"', '"Instruments"'), "cannot be the name of a table"),
        (DOMAIN.replace('"instruments"', '"i; drop table users"'), "cannot be the name of a table"),
        (DOMAIN.replace('"instruments"', f'"{"i" * 49}"'), "at most 48 lower-case"),
    ],
)
def test_a_domain_that_cannot_be_used_is_refused_by_name(
    qforge: Qforge, tmp_path: Path, source: str, words: str
) -> None:
    """A taken name, a wrong declaration or a missing import is one line on stderr."""
    refused = qforge("status", env=write_domain(tmp_path, source), status=2).stderr

    assert "mylab.spectra" in refused
    assert words in " ".join(refused.split())
    assert "Traceback" not in refused


def test_a_table_with_the_name_of_a_view_is_refused(qforge: Qforge, tmp_path: Path) -> None:
    """Whatever has the name stays as it is."""
    env = write_domain(tmp_path, DOMAIN.replace('"instruments"', '"system_health"'))

    refused = qforge("db", "upgrade", env=env, status=2).stderr

    assert "system_health, which no domain created" in " ".join(refused.split())


def test_an_unknown_module_is_one_clear_error(qforge: Qforge) -> None:
    """It says which, and what to do; what needs no domain works without it."""
    broken = {"QFORGE_DOMAINS": "mylab.nothing"}
    assert qforge("completion", "bash", env=broken).stderr == ""
    qforge("server", "status", env=broken)
    doctor = qforge("doctor", env=broken, status=None)
    assert "no module mylab.nothing" in doctor.stdout + doctor.stderr
    assert "Traceback" not in doctor.stderr

    refused = qforge("status", env={"QFORGE_DOMAINS": "mylab.nothing"}, status=2).stderr

    assert "no module mylab.nothing" in " ".join(refused.split())
    assert "PYTHONPATH" in refused
