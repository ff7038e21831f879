"""Reference of the Python interface, from docstrings: the package, then a page for each room."""

import pkgutil
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import quantum_forge

ROOMS = ("web", "eventstore", "projections", "notifications", "datasets", "runner", "schema")
"""The rooms that programs use; the command line has a reference of its own."""

HIDDEN = ("quantum_forge.schema.migrations",)


@cache
def python_pages() -> list[tuple[str, str, str]]:
    """Name, title and content of each page, in the order of the navigation."""
    return list(_pages())


def _pages() -> Iterator[tuple[str, str, str]]:
    yield "index.md", "quantum_forge", _front_door()
    for room in ROOMS:
        package = f"quantum_forge.{room}"
        modules, inner = _inside(package)
        yield _page(package, modules)
        for name in inner:
            yield _page(name, _below(name))


def _front_door() -> str:
    """The public interface, in the order of `__all__`."""
    parts = ["# quantum_forge\n", (quantum_forge.__doc__ or "") + "\n"]
    for name in quantum_forge.__all__:
        found = getattr(quantum_forge, name)
        parts.append(
            f"::: {found.__module__}.{found.__qualname__}\n"
            "    options:\n"
            "      inherited_members: true\n"
        )
    parts.append("Event types are listed in the [catalogue](../catalogue.md#events).\n")
    return "\n".join(parts)


def _page(package: str, modules: list[str]) -> tuple[str, str, str]:
    title = package.removeprefix("quantum_forge.")
    parts = [f"# {title}\n", *(f"::: {name}\n" for name in [package, *modules])]
    return f"{title}.md", title, "\n".join(parts)


def _below(package: str) -> list[str]:
    modules, inner = _inside(package)
    return modules + [name for each in inner for name in [each, *_below(each)]]


def _inside(package: str) -> tuple[list[str], list[str]]:
    """The modules and the packages in a package, without private ones."""
    folder = Path(quantum_forge.__path__[0], *package.split(".")[1:])
    found = [
        (f"{package}.{module.name}", module.ispkg)
        for module in pkgutil.iter_modules([str(folder)])
        if not module.name.startswith("_") and f"{package}.{module.name}" not in HIDDEN
    ]
    return [name for name, is_package in found if not is_package], [
        name for name, is_package in found if is_package
    ]
