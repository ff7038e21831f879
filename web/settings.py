"""Settings of the server from the environment and a .env file: address, limits, tokens."""

import ipaddress
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

import msgspec

from quantum_forge.eventstore.base.errors import InvalidSetting
from quantum_forge.eventstore.base.secret import Secret
from quantum_forge.eventstore.database.variables import is_yes, variables_of

ROLES = ("qforge_reader", "qforge_auditor")
"""Database roles by which a request may read."""

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_Value = TypeVar("_Value", int, float)


class WebSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What decides how requests are answered.

    max_body: bytes of a request's body. max_rows: rows of one page. max_seconds: that one statement
    of a request may take. body_seconds: for which the head of a request may take to arrive, and
    then its body.
    stream_seconds: for which a client may take to receive one part of a reply. threads: requests
    that one process works on at the same time, and connections to the database that it uses for
    them. streams: clients that follow the log at the same time. anonymous_role: database role by
    which requests without a key read; None: they are
    refused. jwt_secret: for HS256, at least 32 bytes; None: a file in the home directory has one.
    jwt_keys: file of public keys (a JSON Web Key Set) for RS256 and ES256. jwt_audience: that a
    token must name; None: any. token_seconds: for which a token from a password lasts. origins: of
    pages that may send requests from a browser; `*`: all. plans: whether a client may ask for the
    plan of its query. log: whether each request is a line on stdout. projects: whether the process
    keeps the read models up to date. cache_url: of a cache of pages that processes share; None:
    there is none. cache_seconds: for which a page stays there. trusted_proxies: whose
    X-Forwarded-For says where a request came from.
    """

    max_body: int = 16 * 2**20
    max_rows: int = 100_000
    max_seconds: float = 30.0
    body_seconds: float = 30.0
    stream_seconds: float = 60.0
    threads: int = 16
    streams: int = 1000
    anonymous_role: str | None = None
    jwt_secret: Secret | None = None
    jwt_keys: Path | None = None
    jwt_audience: str | None = None
    token_seconds: int = 3600
    origins: tuple[str, ...] = ("*",)
    plans: bool = False
    log: bool = True
    projects: bool = True
    cache_url: Secret | None = None
    cache_seconds: int = 3600
    trusted_proxies: tuple[Network, ...] = ()


def load_web_settings(
    environ: Mapping[str, str] | None = None, dotenv: Path = Path(".env")
) -> WebSettings:
    """Read the settings; an empty variable counts as absent; the environment wins over the file.

    Raises:
        InvalidSetting, DotenvSyntaxError: names the variable.
    """
    environ = os.environ if environ is None else environ
    variables = variables_of(environ, dotenv)
    default = WebSettings()
    secret = variables.get("QFORGE_JWT_SECRET")
    if secret is not None and len(secret.encode()) < 32:
        raise InvalidSetting("QFORGE_JWT_SECRET", "must have at least 32 bytes (RFC 7518, 3.2)")
    role = variables.get("QFORGE_ANONYMOUS_ROLE")
    if role is not None and role not in ROLES:
        raise InvalidSetting("QFORGE_ANONYMOUS_ROLE", f"must be one of {', '.join(ROLES)}")
    keys = variables.get("QFORGE_JWT_KEYS")
    cache = variables.get("QFORGE_CACHE_URL")
    return WebSettings(
        max_body=_positive(variables, "QFORGE_WEB_MAX_BODY", default.max_body, int, "bytes"),
        max_rows=_positive(variables, "QFORGE_WEB_MAX_ROWS", default.max_rows, int, "rows"),
        max_seconds=_positive(
            variables, "QFORGE_WEB_MAX_SECONDS", default.max_seconds, float, "seconds"
        ),
        body_seconds=_positive(
            variables, "QFORGE_WEB_BODY_SECONDS", default.body_seconds, float, "seconds"
        ),
        stream_seconds=_positive(
            variables, "QFORGE_WEB_STREAM_SECONDS", default.stream_seconds, float, "seconds"
        ),
        threads=_positive(variables, "QFORGE_WEB_THREADS", default.threads, int, "threads"),
        streams=_positive(variables, "QFORGE_WEB_STREAMS", default.streams, int, "streams"),
        anonymous_role=role,
        jwt_secret=None if secret is None else Secret(secret),
        jwt_keys=None if keys is None else Path(keys).expanduser(),
        jwt_audience=variables.get("QFORGE_JWT_AUDIENCE"),
        token_seconds=_positive(
            variables, "QFORGE_WEB_TOKEN_SECONDS", default.token_seconds, int, "seconds"
        ),
        origins=_listed(variables.get("QFORGE_WEB_ORIGINS")) or default.origins,
        plans=is_yes(variables, "QFORGE_WEB_PLANS", default=default.plans),
        projects=is_yes(variables, "QFORGE_WEB_PROJECT", default=default.projects),
        log=is_yes(variables, "QFORGE_WEB_LOG", default=default.log),
        cache_url=None if cache is None else Secret(cache),
        cache_seconds=_positive(
            variables, "QFORGE_CACHE_SECONDS", default.cache_seconds, int, "seconds"
        ),
        trusted_proxies=tuple(
            _network("QFORGE_WEB_TRUSTED_PROXIES", each)
            for each in _listed(variables.get("QFORGE_WEB_TRUSTED_PROXIES"))
        ),
    )


def _positive(
    variables: Mapping[str, str],
    name: str,
    default: _Value,
    kind: Callable[[str], _Value],
    unit: str,
) -> _Value:
    text = variables.get(name)
    if text is None:
        return default
    try:
        value = kind(text)
    except ValueError:
        value = kind("0")
    if not 0 < value < float("inf"):
        raise InvalidSetting(name, f"must be a number of {unit} above 0, not {text!r}")
    return value


def _listed(text: str | None) -> tuple[str, ...]:
    return tuple(part.strip() for part in (text or "").split(",") if part.strip())


def _network(name: str, text: str) -> Network:
    try:
        return ipaddress.ip_network(text)
    except ValueError:
        raise InvalidSetting(
            name, f"must be addresses or networks (10.0.0.0/8) with commas between, not {text!r}"
        ) from None
