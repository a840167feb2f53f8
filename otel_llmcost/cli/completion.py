"""`otel-llmcost completion`: the script that makes a shell complete commands, options and dimensions."""

from __future__ import annotations

from typing import Final

import click
from click.shell_completion import get_completion_class

__all__ = ["completion"]

_PROGRAM: Final = "otel-llmcost"
_VARIABLE: Final = "_OTEL_LLMCOST_COMPLETE"
"""What click derives from the program's name, and looks for in the environment."""


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """
    Print the script that completes commands, options and dimensions with Tab.

    Run it where your shell starts, so that it is the installed version's: in ~/.bashrc, in ~/.zshrc after compinit, or in
    ~/.config/fish/config.fish. It takes a fifth of a second; to save that, write its output into a file and source the file.

    \b
    Examples:
      eval "$(otel-llmcost completion bash)"
      eval "$(otel-llmcost completion zsh)"
      otel-llmcost completion fish | source
    """
    found = get_completion_class(shell)
    if found is None:  # click has all three; its interface does not promise it
        ctx.fail(f"this version of click completes nothing for {shell}: update it")
    click.echo(found(ctx.find_root().command, {}, _PROGRAM, _VARIABLE).source())
