"""Reference of the errors: when each is raised, and its messages, which state the remedy."""

import ast
import inspect
import pkgutil
import re
import textwrap
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib import import_module
from types import ModuleType

import quantum_forge
from quantum_forge.eventstore.base.errors import QuantumForgeError

Error = type[QuantumForgeError]

INTRODUCTION = """\
Every error that Quantum Forge raises on purpose is a `QuantumForgeError`. Its message says what is
wrong and what to do next. `qforge` prints it on stderr and exits with the status given here. *May
pass* means that the same call may succeed a little later by itself. ‹Names› stand for what differs
from case to case.
"""


def errors_page() -> str:
    """A section for each room, an entry for each error in it."""
    errors = sorted(_subclasses(QuantumForgeError), key=_place)
    rooms = dict.fromkeys(_room(cls) for cls in errors)
    parts = ["# Errors\n", INTRODUCTION]
    for room in rooms:
        parts.append(f"## {room}\n")
        parts += [line for cls in errors if _room(cls) == room for line in _entry(cls)]
    return "\n".join(parts)


def messages_of(cls: Error) -> list[str]:
    """The message as the class composes it, or as each place that raises it completes it."""
    composed = _composed(cls, cls, {})
    raised = [_composed(cls, cls, _given(cls, call)) for call in _raised()[cls.__name__]]
    is_completed_elsewhere = re.search("‹(problem|advice|reason)›", composed)
    found = dict.fromkeys(raised if raised and is_completed_elsewhere else [composed])
    return [message for message in found if re.search("[a-z]{3}", re.sub("‹.*?›", "", message))]


@cache
def _modules() -> tuple[ModuleType, ...]:
    """All modules but migrations, and those for which an optional library is missing."""
    found = []
    for each in pkgutil.walk_packages(quantum_forge.__path__, "quantum_forge."):
        if "migrations." not in each.name:
            try:
                found.append(import_module(each.name))
            except ModuleNotFoundError as error:
                if (error.name or "").startswith("quantum_forge"):
                    raise
    return tuple(found)


def _subclasses(cls: Error) -> set[Error]:
    """Those that the project defines; all modules are imported for it."""
    _modules()
    below = {each for each in cls.__subclasses__() if each.__module__.startswith("quantum_forge.")}
    return below.union(*map(_subclasses, below))


def _room(cls: Error) -> str:
    package, *inside = cls.__module__.split(".")
    return inside[0] if len(inside) > 1 else package


def _place(cls: Error) -> tuple[str, int]:
    return cls.__module__, inspect.getsourcelines(cls)[1]


def _entry(cls: Error) -> Iterator[str]:
    yield f"### {cls.__name__}\n"
    yield (inspect.getdoc(cls) or "").replace("<", "\\<") + "\n"
    for message in messages_of(cls):
        yield f"```text\n{message}\n```\n"
    passing = ", may pass" if cls.may_pass else ""
    yield f"Exit status {cls.exit_status}{passing}. `{cls.__module__}`\n"


@cache
def _raised() -> Mapping[str, list[ast.Call]]:
    """The calls that make an error with some text of their own, by the name of its class."""
    found: dict[str, list[ast.Call]] = defaultdict(list)
    for module in _modules():
        for node in ast.walk(ast.parse(inspect.getsource(module) or "")):
            match node:
                case ast.Call(func=ast.Name(name), args=[*arguments]):
                    if any(isinstance(each, ast.Constant | ast.JoinedStr) for each in arguments):
                        found[name].append(node)
    return found


def _composed(cls: Error, owner: type, values: Mapping[str, str]) -> str:
    """The text that the constructor of `owner` gives to its base, with its parameters' values."""
    if "__init__" not in vars(owner):
        return _composed(cls, owner.__mro__[1], values)
    if owner is Exception:
        return " ".join(values.values()) or "‹reason›"
    source = textwrap.dedent(inspect.getsource(vars(owner)["__init__"]))
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Call(func=ast.Attribute(attr="__init__"), args=[*arguments]):
                given = [_text(cls, each, values) for each in arguments]
                return _composed(cls, owner.__mro__[1], _bound(owner.__mro__[1], given))
    return "‹reason›"


def _given(cls: Error, call: ast.Call) -> Mapping[str, str]:
    return _bound(cls, [_text(cls, each, {}) for each in call.args])


def _bound(cls: type, values: Sequence[str]) -> dict[str, str]:
    """The values by the names of the parameters of the constructor that `cls` has."""
    owner = next(each for each in cls.__mro__ if "__init__" in vars(each))
    if owner.__module__ == "builtins":
        return {str(index): value for index, value in enumerate(values)}
    _, *names = inspect.signature(vars(owner)["__init__"]).parameters
    return dict(zip(names, values, strict=False))


def _text(cls: Error, node: ast.expr, values: Mapping[str, str]) -> str:
    match node:
        case ast.Constant(value):
            return str(value)
        case ast.JoinedStr(parts):
            return "".join(_text(cls, each, values) for each in parts)
        case ast.FormattedValue(value):
            return _text(cls, value, values)
        case ast.BinOp(left, ast.Add(), right):
            return _text(cls, left, values) + _text(cls, right, values)
        case ast.IfExp(body=body):
            return _text(cls, body, values)
        case ast.Name(name):
            return values.get(name, f"‹{name.lower()}›")
        case ast.Attribute(ast.Name("self"), name) if isinstance(getattr(cls, name, None), str):
            return str(getattr(cls, name))
        case ast.Attribute(attr=name):
            return f"‹{name.strip('_')}›"
        case ast.Call(func=ast.Name("counted"), args=[number, noun, *_]):
            return f"{_text(cls, number, values)} {_text(cls, noun, values)}s"
        case ast.Call(func=ast.Attribute(ast.Constant(), "join"), args=[first, *_]):
            return _text(cls, first, values)
        case ast.Call(args=[first, *_]) | ast.Call(func=ast.Attribute(first)):
            return _text(cls, first, values)
        case ast.GeneratorExp(generators=[first, *_]) | ast.ListComp(generators=[first, *_]):
            return _text(cls, first.iter, values)
        case ast.BinOp(left) | ast.Subscript(left):
            return _text(cls, left, values)
        case _:
            return "‹…›"
