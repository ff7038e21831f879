"""Commands that refuse two values for an option that takes one."""

import copy
from typing import Any

import click


class Command(click.Command):
    """A command that refuses an option given twice with different values.

    click would take the last one without a word. The same value twice is allowed.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the arguments; raise `click.UsageError` where values contradict each other."""
        given = list(args)
        rest = super().parse_args(ctx, args)
        if not ctx.resilient_parsing:
            self._refuse_contradictions(ctx, given)
        return rest

    def _refuse_contradictions(self, ctx: click.Context, args: list[str]) -> None:
        """Parse once more, with options that collect every value that they are given."""
        collecting = copy.copy(self)
        collecting.params = [_collecting(each) for each in self.params]
        values, _, order = collecting.make_parser(ctx).parse_args(args)
        for option in self.params:
            found = values.get(option.name) if _takes_one_value(option) else None
            if not found or all(value == found[0] for value in found):
                continue
            names = dict.fromkeys(each.opts[-1] for each in order if each.name == option.name)
            raise click.UsageError(_message(option, list(names), found), ctx)


class Group(Command, click.Group):
    """A group whose own options, and whose commands, are such."""

    command_class = Command


def _takes_one_value(parameter: click.Parameter) -> bool:
    return isinstance(parameter, click.Option) and not (parameter.multiple or parameter.count)


def _collecting(parameter: click.Parameter) -> click.Parameter:
    if not _takes_one_value(parameter):
        return parameter
    collecting = copy.copy(parameter)
    collecting.multiple = True
    return collecting


def _message(option: click.Parameter, names: list[str], values: list[Any]) -> str:
    if len(names) > 1:
        return f"{' and '.join(names)} contradict each other; give one of them."
    if option.secondary_opts:
        both = f"{option.opts[-1]} and {option.secondary_opts[-1]}"
        return f"{both} contradict each other; give one of them."
    different = " and ".join(dict.fromkeys(str(value) for value in values))
    return f"{names[0]} is given more than once, with {different}; give it once."
