"""Media types: what the Accept header of a request is answered with."""

from enum import StrEnum

from msgspec import Struct

from quantum_forge.web.rest.errors import RestError


class Form(StrEnum):
    """How rows are written."""

    ARRAY = "array"
    OBJECT = "object"
    CSV = "csv"
    LINES = "lines"
    ARROW = "arrow"
    PARQUET = "parquet"
    PLAN = "plan"


class Media(Struct, frozen=True, kw_only=True):
    """What a request is answered with.

    content_type: of the reply. stripped: without keys whose value is null.
    options: of EXPLAIN, where the plan is asked for.
    """

    form: Form
    content_type: str
    stripped: bool = False
    options: tuple[str, ...] = ()

    @property
    def is_streamed(self) -> bool:
        """Whether rows are written as they come, as many as there are."""
        return self.form in (Form.LINES, Form.ARROW, Form.PARQUET)


_JSON = "application/json; charset=utf-8"
_UTF8 = "; charset=utf-8"
_PLAN_OPTIONS = frozenset({"analyze", "verbose", "settings", "buffers", "wal"})
_LINES = frozenset({"application/x-ndjson", "application/ndjson", "application/jsonl"})
_DEFAULT = frozenset({"*/*", "application/*", "application/json"})


def parse_accept(header: str | None, *, plans: bool = False) -> Media:
    """Return what a request is answered with: the first that is available of those it prefers.

    Args:
        header: Accept; several headers are joined by commas.
        plans: whether plans of queries may be asked for.

    Raises:
        RestError: PGRST107, when none is available.
    """
    wanted = by_preference(header or "*/*")
    for type_, parameters in wanted:
        if (media := _media(type_, parameters, plans)) is not None:
            return media
    named = ", ".join(
        ";".join([type_, *(f"{name}={value}" for name, value in parameters.items())])
        for type_, parameters in wanted
    )
    raise RestError(
        406,
        "PGRST107",
        f"None of these media types are available: {named}",
        hint="Use application/json, application/vnd.pgrst.object+json,"
        " application/vnd.pgrst.array+json, text/csv, application/x-ndjson,"
        " application/vnd.apache.arrow.stream or application/vnd.apache.parquet.",
    )


def _media(type_: str, parameters: dict[str, str], plans: bool) -> Media | None:
    stripped = parameters.get("nulls") == "stripped"
    suffix = ";nulls=stripped" if stripped else ""
    match type_.removesuffix("+json"):
        case "application/vnd.pgrst.object":
            name = f"application/vnd.pgrst.object+json{suffix}{_UTF8}"
            return Media(form=Form.OBJECT, content_type=name, stripped=stripped)
        case "application/vnd.pgrst.array":
            name = f"application/vnd.pgrst.array+json{suffix}{_UTF8}" if stripped else _JSON
            return Media(form=Form.ARRAY, content_type=name, stripped=stripped)
        case "application/vnd.pgrst.plan" if plans:
            return _plan(parameters)
        case "text/csv" | "text/*":
            return Media(form=Form.CSV, content_type=f"text/csv{_UTF8}")
        case "application/vnd.apache.arrow.stream":
            return Media(form=Form.ARROW, content_type=type_)
        case "application/vnd.apache.parquet":
            return Media(form=Form.PARQUET, content_type=type_)
        case name if name in _LINES:
            return Media(form=Form.LINES, content_type=f"{name}{_UTF8}")
        case name if name in _DEFAULT:
            return Media(form=Form.ARRAY, content_type=_JSON)
    return None


def _plan(parameters: dict[str, str]) -> Media:
    options = tuple(
        option for option in parameters.get("options", "").split("|") if option in _PLAN_OPTIONS
    )
    told = f"; options={'|'.join(options)}" if options else ""
    name = f'application/vnd.pgrst.plan+json; for="application/json"{told}{_UTF8}'
    return Media(form=Form.PLAN, content_type=name, options=options)


def by_preference(header: str) -> list[tuple[str, dict[str, str]]]:
    """Return media types and parameters, the most wanted first, without those of weight 0."""
    weighed = []
    for written in header.split(","):
        type_, *rest = (part.strip() for part in written.split(";"))
        pairs = [part.partition("=") for part in rest if part]
        parameters = {name.strip().lower(): value.strip().strip('"') for name, _, value in pairs}
        weight = _weight(parameters.pop("q", "1"))
        if type_ and weight:
            weighed.append((-weight, type_.lower(), parameters))
    return [(type_, parameters) for _, type_, parameters in sorted(weighed, key=lambda it: it[0])]


def _weight(written: str) -> float:
    try:
        weight = float(written)
    except ValueError:
        return 1.0
    return weight if 0 <= weight <= 1 else 1.0
