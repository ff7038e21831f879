"""`qforge completion`: the script that completes qforge's commands and options in a shell."""

import click
from click.shell_completion import get_completion_class

from quantum_forge.cli.command import Command
from quantum_forge.cli.show import console

SHELLS = ("bash", "zsh", "fish")


@click.command(cls=Command)
@click.argument("shell", type=click.Choice(SHELLS), metavar="SHELL")
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the script that completes commands and options in a SHELL: bash, zsh or fish.

    \b
    Example:
      qforge completion bash > ~/.local/share/bash-completion/completions/qforge
      qforge completion zsh > "${fpath[1]}/_qforge"
      qforge completion fish > ~/.config/fish/completions/qforge.fish
    """
    completes = get_completion_class(shell)
    assert completes is not None
    root = context.find_root()
    console.emit(completes(root.command, {}, "qforge", "_QFORGE_COMPLETE").source().rstrip())
