"""Forms of pages: their fields, and where a form may lead."""

from urllib.parse import parse_qsl

from starlette.requests import Request

from quantum_forge.web.rest.errors import RestError

CSRF = "csrf"
"""Field of each form that proves that a page of ours sent it."""

_FORM = "application/x-www-form-urlencoded"
_MOST_FIELDS = 1000


async def fields_of(request: Request) -> dict[str, str]:
    """Return the fields of a form; of one that is repeated, the last.

    Raises:
        RestError: 415 or 400 when the body is no form.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != _FORM:
        raise RestError(415, "QF415", f"a form is sent as {_FORM}")
    try:
        body = (await request.body()).decode("ascii")
        pairs = parse_qsl(
            body, keep_blank_values=True, max_num_fields=_MOST_FIELDS, errors="strict"
        )
    except ValueError as error:  # UnicodeDecodeError is one, too
        raise RestError(400, "22023", "the form cannot be read", details=str(error)) from None
    if any("\0" in text for pair in pairs for text in pair):
        raise RestError(400, "22021", "a field of the form has a character 0, which no text has")
    return dict(pairs)


def own_path(text: str | None) -> str:
    """Return where a sign-in leads: a path of ours, or else the first page.

    Browsers take two slashes at the beginning, also backslashes, for the address of another host,
    and ignore some characters.
    """
    if not text or text[0] != "/" or text[1:2] in ("/", "\\"):
        return "/"
    if any(ord(each) <= 0x20 or ord(each) == 0x7F or each == "\\" for each in text):
        return "/"
    return text
