"""Hooks of mkdocs: add the generated pages to the site."""

from collections.abc import Callable
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

from docs.generate.commands import commands_page
from docs.generate.errors import errors_page
from docs.generate.python_api import python_pages
from docs.generate.settings import settings_page
from quantum_forge.projections.operate.catalogue import render

ROOT = Path(__file__).parents[2]

PAGES: dict[str, Callable[[], str]] = {
    "reference/commands.md": commands_page,
    "reference/settings.md": settings_page,
    "reference/errors.md": errors_page,
    "reference/catalogue.md": render,
    "changelog.md": lambda: _of_repository("CHANGELOG.md"),
    "contributing.md": lambda: _of_repository("CONTRIBUTING.md"),
}

FOLDER = "reference/python"


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """List the pages of the Python reference under their entry of the navigation."""
    pages = [{title: f"{FOLDER}/{name}"} for name, title, _ in python_pages()]
    for section in config.nav or []:
        for entry in next(iter(section.values())):
            if isinstance(entry, dict) and "Python" in entry:
                entry["Python"] = pages
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated pages to those of the folder."""
    for path, render_page in PAGES.items():
        files.append(File.generated(config, path, content=render_page()))
    for name, _, content in python_pages():
        files.append(File.generated(config, f"{FOLDER}/{name}", content=content))
    return files


def _of_repository(name: str) -> str:
    """A page that stands at the top of the repository, with links as seen from docs/."""
    return (ROOT / name).read_text("utf-8").replace("](docs/", "](")
