"""Reference of the settings, from .env.example, which declares each with its meaning."""

from collections.abc import Iterator
from pathlib import Path

DECLARATION = Path(__file__).parents[2] / ".env.example"


def settings_page() -> str:
    """A section for each group of variables: what they mean, and the lines that set them."""
    return "\n".join(
        [
            "# Settings\n",
            "Settings are environment variables, or lines of a `.env` file in the directory where"
            " `qforge` runs.\n",
            *_groups(),
        ]
    )


def _groups() -> Iterator[str]:
    for group in DECLARATION.read_text("utf-8").strip().split("\n\n"):
        lines = group.splitlines()
        variables = [line.removeprefix("#") for line in lines if not line.startswith("# ")]
        meaning = " ".join(line.removeprefix("# ") for line in lines if line.startswith("# "))
        if variables:
            yield "## " + ", ".join(f"`{line.partition('=')[0]}`" for line in variables) + "\n"
        yield meaning + "\n"
        if variables:
            yield "```ini\n" + "\n".join(variables) + "\n```\n"
