"""Settings: which variable decides, what is refused, and that no password is ever shown."""

import os
import re
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from quantum_forge.eventstore.base.errors import DotenvSyntaxError, InvalidSetting
from quantum_forge.eventstore.database.address import hosts_of, libpq_url
from quantum_forge.eventstore.database.env_file import read_dotenv
from quantum_forge.eventstore.database.given_address import login_name, parse_database_url
from quantum_forge.eventstore.database.settings import DEFAULT_TENANT_ID, load_settings

NOWHERE = Path("no/such/.env")
SECRET = "s3cr3t-w0rd"


def load(environ: dict[str, str], dotenv: Path = NOWHERE) -> str | None:
    """Return the address that these variables give, password included."""
    url = load_settings(environ, dotenv).url
    return None if url is None else url.render_as_string(hide_password=False)


def test_nothing_set_means_the_embedded_server() -> None:
    """A bare machine needs no configuration."""
    settings = load_settings({}, NOWHERE)

    assert settings.url is None
    assert settings.home.name == "quantum-forge"
    assert settings.tenant_id == DEFAULT_TENANT_ID
    assert settings.user_id == load_settings({}, NOWHERE).user_id


def test_database_url_wins_over_parts() -> None:
    """DATABASE_URL, then POSTGRES_*, then DB_*."""
    url = {"DATABASE_URL": "postgres://a@one/x"}
    postgres = {"POSTGRES_HOST": "two", "POSTGRES_USER": "b"}
    db = {"DB_HOST": "three", "DB_USER": "c"}

    assert load(url | postgres | db) == "postgresql+psycopg://a@one/x"
    assert load(postgres | db) == "postgresql+psycopg://b@two:5432/b"
    assert load(db) == "postgresql+psycopg://c@three:5432/c"


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    """Even DB_* in the environment wins over DATABASE_URL in the file, which completes it."""
    dotenv = tmp_path / ".env"
    dotenv.write_text("DATABASE_URL=postgres://file/x\nDB_PORT=5433\nDB_HOST=file\n")

    assert load({}, dotenv) == "postgresql+psycopg://file/x"
    assert load({"DB_HOST": "env", "DB_USER": "u"}, dotenv) == "postgresql+psycopg://u@env:5433/u"


@pytest.mark.parametrize("family", ["DB", "POSTGRES"])
def test_a_password_is_sent_to_no_host_of_another_place(tmp_path: Path, family: str) -> None:
    """Neither that of the environment to the host of a file, nor the other way round."""
    dotenv = tmp_path / ".env"
    host, password = f"{family}_HOST", f"{family}_PASSWORD"

    dotenv.write_text(f"{host}=file\n")
    with pytest.raises(InvalidSetting, match=f"{password} is set in the environment, and {host}"):
        load_settings({password: "secret"}, dotenv)
    dotenv.write_text(f"{password}=secret\n")
    with pytest.raises(InvalidSetting, match=f"{host} in the environment: set both") as caught:
        load_settings({host: "env"}, dotenv)
    assert "secret" not in str(caught.value)
    dotenv.write_text(f"{password}=old\n{host}=file\n")
    assert load({password: "new", host: "env", f"{family}_USER": "u"}, dotenv) is not None


@pytest.mark.parametrize(
    ("mode", "owner", "problem"),
    [
        (0o602, None, "written by other users"),
        (0o600, 12345, "another user"),
        (0o620, (0, 12345), "written by other users"),
    ],
)
def test_a_file_that_others_could_have_written_is_not_trusted(
    tmp_path: Path, mode: int, owner: int | tuple[int, int] | None, problem: str
) -> None:
    """It decides to which server the passwords of the environment are sent."""
    dotenv = tmp_path / ".env"
    dotenv.write_text("DATABASE_URL=postgres://evil/x\n")
    dotenv.chmod(mode)
    if owner is not None:
        if os.geteuid() != 0:
            pytest.skip("only root can give a file away")
        os.chown(dotenv, *(owner if isinstance(owner, tuple) else (owner, 0)))

    with pytest.raises(InvalidSetting, match=problem):
        load_settings({}, dotenv)


def test_a_pipe_in_place_of_the_file_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    """A FIFO would hang every command; a directory is refused, too."""
    os.mkfifo(tmp_path / ".env")
    with pytest.raises(InvalidSetting, match="not a regular file"):
        load_settings({}, tmp_path / ".env")
    with pytest.raises(InvalidSetting, match="cannot be read"):
        load_settings({}, tmp_path)


def test_missing_parts_are_what_libpq_would_take() -> None:
    """One variable is enough; an empty one counts as absent."""
    me = login_name()

    assert load({"POSTGRES_PORT": "5433", "POSTGRES_HOST": ""}) == (
        f"postgresql+psycopg://{me}@localhost:5433/{me}"
    )
    assert (
        load({"DATABASE_URL": "", "DB_NAME": "n"}) == f"postgresql+psycopg://{me}@localhost:5432/n"
    )


def test_parts_need_no_escaping() -> None:
    """A password with every awkward character reaches the server as it is."""
    password = "p@ss:w/rd%20?#"

    url = load_settings({"DB_USER": "u", "DB_PASSWORD": password}, NOWHERE).url

    assert url is not None
    assert url.password == password


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_every_usual_scheme_is_accepted(scheme: str) -> None:
    """The address may be written for libpq, for SQLAlchemy, or as Heroku does."""
    url = parse_database_url(f"{scheme}://u:p%40@h:5433/d?sslmode=require")

    assert url.drivername == "postgresql+psycopg"
    assert (url.username, url.password, url.host, url.port) == ("u", "p@", "h", 5433)
    assert url.query == {"sslmode": "require"}


@pytest.mark.parametrize(
    "text",
    [
        f"sqlite:///{SECRET}.db",
        f"mysql://u:{SECRET}@h/d",
        f"postgresql+psycopg2://u:{SECRET}@h/d",
        f"postgresql://u:{SECRET}@h:port/d",
        f"postgresql://u:{SECRET}@h:0/d",
        f"postgresql://u:{SECRET}@h:65536/d",
        f"u:{SECRET}@h/d",
        f"postgresql://u:x@{SECRET}@h/d",
        f"postgresql://u:x?@{SECRET}@h/d",
        f"postgresql://u:x@y/{SECRET}@h/d",
        f"postgresql://u:12/{SECRET}@h/d",
        f"postgresql://u:{SECRET}?x@h/d?nosuch=1",
        f"postgresql://u:x/y?{SECRET}=z@h/d",
        f"host=h password={SECRET} nosuch=1",
        f"host=h port={SECRET}",
    ],
)
def test_an_unusable_address_is_refused_without_being_quoted(text: str) -> None:
    """The error names the variable and says what to write; it has no secret, nor a cause."""
    with pytest.raises(InvalidSetting, match="DATABASE_URL") as caught:
        load_settings({"DATABASE_URL": text}, NOWHERE)

    assert SECRET not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.exit_status == 2


@pytest.mark.parametrize(
    "address",
    [
        f"postgresql://u:{SECRET}@h/d",
        f"postgresql:///d?host=/tmp&password={SECRET}",
        f"postgresql:///d?host=/tmp&password=old&password={SECRET}",
        f"postgresql://u:{SECRET}@h/d?sslpassword={SECRET}&oauth_client_secret={SECRET}",
        f"postgresql://u:{SECRET}@h/d?scram_client_key={SECRET}",
        f"host=h user=u password={SECRET} sslpassword={SECRET}",
    ],
)
def test_printed_settings_hide_every_secret(address: str) -> None:
    """Settings may be logged; a secret with a typing error in its name is a secret."""
    settings = load_settings({"DATABASE_URL": address}, NOWHERE)

    assert SECRET not in repr(settings)
    assert SECRET not in str(settings)
    assert settings.url is not None
    assert settings.url.password == SECRET


@pytest.mark.parametrize(
    ("given", "hosts", "database"),
    [
        ("postgresql://u@a:1,b:2/d", [("a", "1"), ("b", "2")], "d"),
        ("postgresql://u@a,b:2/d", [("a", ""), ("b", "2")], "d"),
        ("postgresql:///d?host=a&host=b", [("b", "")], "d"),  # libpq takes the last
        ("postgresql:///d?host=a,b&port=1,2", [("a", "1"), ("b", "2")], "d"),
        ("postgresql://%2Frun%2Fpg/d", [("/run/pg", "")], "d"),
        ("postgresql:///d?host=/run/pg&port=5433", [("/run/pg", "5433")], "d"),
        ("postgresql://[::1]:5433/d", [("::1", "5433")], "d"),
        ("host=a,b port=1 dbname=d", [("a", "1"), ("b", "1")], "d"),
        ("postgresql://?service=mine", [("", "")], None),
        ("service=mine", [("", "")], None),
    ],
)
def test_addresses_are_those_of_libpq(
    given: str, hosts: list[tuple[str, str]], database: str | None
) -> None:
    """Several hosts, a socket, a service file, words instead of a URL; and back again."""
    url = parse_database_url(given)

    assert hosts_of(url) == hosts
    assert url.database == database
    assert hosts_of(parse_database_url(libpq_url(url))) == hosts


def test_several_hosts_are_taken_from_parts() -> None:
    """POSTGRES_PORT has a port for each, or one for all."""
    for ports, pairs in (
        ("1,2", [("a", "1"), ("b", "2")]),
        ("5433", [("a", "5433"), ("b", "5433")]),
    ):
        url = load_settings({"POSTGRES_HOST": "a,b", "POSTGRES_PORT": ports}, NOWHERE).url
        assert url is not None
        assert hosts_of(url) == pairs


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("postgresql+psycopg2://u@h/d", "names the driver .psycopg2.*write postgresql://"),
        ("postgresql://u@h/d?pgbouncer=true", "the parameter pgbouncer, which libpq does not know"),
        ("postgresql://a:1,b:2,c:3/d?port=1,2", "has 2 ports for 3 hosts"),
    ],
)
def test_an_address_of_another_program_is_explained(address: str, words: str) -> None:
    """What to change is said."""
    with pytest.raises(InvalidSetting, match=words):
        parse_database_url(address)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("POSTGRES_PORT", "http"),
        ("DB_PORT", "70000"),
        ("QFORGE_TENANT_ID", "me"),
        ("QFORGE_USER_ID", "a b"),
    ],
)
def test_a_bad_value_is_refused_by_name(name: str, value: str) -> None:
    """The error names the variable and the value."""
    with pytest.raises(InvalidSetting, match=f"^{name} must .*{value}"):
        load_settings({name: value}, NOWHERE)


def test_identities_and_home_can_be_set() -> None:
    """A shared installation decides who is who and where things are."""
    tenant, user = uuid4(), uuid4()

    settings = load_settings(
        {"QFORGE_TENANT_ID": str(tenant), "QFORGE_USER_ID": user.hex, "QFORGE_HOME": "~/q"},
        NOWHERE,
    )

    assert (settings.tenant_id, settings.user_id) == (tenant, user)
    assert settings.home == Path("~/q").expanduser()
    assert isinstance(settings.user_id, UUID)


def test_a_dotenv_file_is_read_as_shells_write_it(tmp_path: Path) -> None:
    """Comments, export, quotes and spaces mean what they mean elsewhere; nothing is expanded."""
    dotenv = tmp_path / ".env"
    dotenv.write_text(
        "# a comment\n"
        "\n"
        "A=plain\n"
        "  export B = spaced # trailing\n"
        "C='single # kept \\n'\n"
        'D="double \\"quoted\\" \\n" # trailing\n'
        "E=\n"
        "F=a#b\n"
        "G=x=y\n"
        "H=#\n"
        "I= # a comment\n"
        "J='it\\'s'\n"
        "K=a$B${C}\n"
        'L="two\nlines"\n'
        "my-name=1\n",
    )

    assert read_dotenv(dotenv) == {
        "A": "plain",
        "B": "spaced",
        "C": "single # kept \\n",
        "D": 'double "quoted" \n',
        "E": "",
        "F": "a#b",
        "G": "x=y",
        "H": "#",
        "I": "",
        "J": "it's",
        "K": "a$B${C}",
        "L": "two\nlines",
        "my-name": "1",
    }


@pytest.mark.parametrize(
    "line", [SECRET, "A='open", 'A="open\\"', "A='one' two", "export A", "A B=1", "=1"]
)
def test_a_broken_dotenv_line_is_named_by_its_number(tmp_path: Path, line: str) -> None:
    """The error tells file and line, and quotes nothing."""
    dotenv = tmp_path / ".env"
    dotenv.write_text(f"# first\n\n{line}\nB=2\n")

    with pytest.raises(DotenvSyntaxError, match=re.escape(f"{dotenv}, line 3: ")) as caught:
        load_settings({}, dotenv)

    assert SECRET not in str(caught.value)


def test_the_example_file_is_valid_and_sets_nothing() -> None:
    """Copied as it is, .env.example changes nothing; with its comments taken away, it parses."""
    example = Path(__file__).parents[3] / ".env.example"

    assert read_dotenv(example) == {}
    settings = [line for line in example.read_text().splitlines() if re.match(r"#[A-Z_]+=", line)]
    assert len(settings) == 49
