"""Extension of griffe, which reads docstrings without importing: methods by assignment.

`record = recording.record` in a class is an attribute to griffe. Here it becomes the function.
"""

import copy

import griffe


class MethodsByAssignment(griffe.Extension):  # type: ignore[misc]  # Any to mypy
    """Make functions that a class takes from other modules its methods."""

    def on_package(self, *, pkg: griffe.Module, **_: object) -> None:
        """Replace such attributes when the package is loaded."""
        for module in pkg.modules.values():
            for cls in module.classes.values():
                if not cls.is_alias:
                    _take_methods(pkg, cls)


def _take_methods(package: griffe.Module, cls: griffe.Class) -> None:
    for name, attribute in list(cls.attributes.items()):
        if attribute.is_alias or not isinstance(attribute.value, griffe.ExprAttribute):
            continue
        try:
            function = package[attribute.value.canonical_path.removeprefix(f"{package.path}.")]
        except KeyError:
            continue  # is of another package
        if function.is_function:
            method = copy.copy(function)
            method.parameters = griffe.Parameters(
                griffe.Parameter("self"), *list(function.parameters)[1:]
            )
            method.lineno = attribute.lineno  # of the class, which orders its members
            cls.set_member(name, method)
