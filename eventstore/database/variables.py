"""Variables of settings: where they come from, and what their texts stand for."""

import math
from collections.abc import Mapping
from pathlib import Path

from quantum_forge.eventstore.base.errors import InvalidSetting
from quantum_forge.eventstore.database.env_file import read_dotenv


def variables_of(environ: Mapping[str, str], dotenv: Path) -> dict[str, str]:
    """Return the variables that are set; an empty one is not; the environment wins over the file.

    Raises:
        InvalidSetting, DotenvSyntaxError: see `read_dotenv`.
    """
    return {name: value for name, value in {**read_dotenv(dotenv), **environ}.items() if value}


def seconds_of(
    variables: Mapping[str, str], name: str, default: float, *, may_be_zero: bool = False
) -> float:
    """Return a length of time in seconds.

    Raises:
        InvalidSetting: for what is none.
    """
    text = variables.get(name)
    if text is None:
        return default
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not (0 < seconds < math.inf or (may_be_zero and seconds == 0)):
        least = "from 0 on" if may_be_zero else "above 0"
        raise InvalidSetting(name, f"must be a number of seconds {least}, not {text!r}")
    return seconds


def is_yes(variables: Mapping[str, str], name: str, *, default: bool) -> bool:
    """Return whether a variable says yes.

    Raises:
        InvalidSetting: for what is neither yes nor no.
    """
    text = variables.get(name, "yes" if default else "no").lower()
    if text not in ("yes", "no", "true", "false", "1", "0"):
        raise InvalidSetting(name, f"must be yes or no, not {text!r}")
    return text in ("yes", "true", "1")
