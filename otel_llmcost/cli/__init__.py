"""
The command line: one module per command, loaded only when it is called, and no logic in any of them.

Data goes to standard output, words to standard error. Exit codes: 0 ok, 1 failed, 2 wrong usage, 3 problems found, 130
interrupted.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from difflib import get_close_matches
from typing import Final

import click

from otel_llmcost.cli._text import write_whatever_comes
from otel_llmcost.errors import LLMCostError

__all__ = ["main"]

SECTIONS: Final = {
    "Ask a ledger": {
        "report": "What was spent, by one or two dimensions.",
        "top": "What is being spent right now, refreshed as you watch.",
        "requests": "The rows behind a report, newest first.",
        "explain": "The arithmetic of a request: every count, its rate, the rate's source and date.",
    },
    "Ask without a ledger": {
        "price": "Price one request from flags, or JSON lines from standard input.",
        "rates": "List and explain rates; check a rate card.",
        "audit": "Price pasted traces or raw responses, offline.",
    },
    "Run it": {
        "demo": "Run the main job on generated traffic and print its report.",
        "serve": "Own an embedded ledger: show it, ship its journal, answer the other commands.",
        "ship": "Ship the journals of all processes of this machine to a ClickHouse server.",
        "schema": "Create or inspect the ledger's tables.",
    },
    "Keep it right": {
        "doctor": "What makes the bill wrong or incomplete, each finding with its fix.",
        "verify": "Do rows and rollups agree, was anything charged twice, is anything left behind.",
        "repair": "Put right what verify finds: take back what was charged twice, build rollups anew.",
        "forget": "Replace a customer's id by (forgotten); every total stays.",
    },
    "Shell": {
        "completion": "Print the script that completes commands, options and dimensions with Tab.",
    },
}
COMMANDS: Final = {name: text for section in SECTIONS.values() for name, text in section.items()}
_INTERRUPTED: Final = 130
_ERROR: Final = "Error: "


class _Commands(click.Group):
    """Loads a command's module at the first use, so that `--help` never imports an engine."""

    def list_commands(self, _ctx: click.Context) -> list[str]:
        return sorted(COMMANDS)

    def get_command(self, _ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        command: click.Command = getattr(importlib.import_module(f"otel_llmcost.cli.{name}"), name)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in COMMANDS and (close := get_close_matches(args[0], COMMANDS, n=1)):
            ctx.fail(f"No such command {args[0]!r}. Did you mean {close[0]!r}?")
        return super().resolve_command(ctx, args)

    def format_commands(self, _ctx: click.Context, formatter: click.HelpFormatter) -> None:
        widest = max(map(len, COMMANDS))
        for title, commands in SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl([(name.ljust(widest), text) for name, text in commands.items()])

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except LLMCostError as error:
            raise click.ClickException(_fitted(str(error))) from error
        except click.UsageError as error:
            if type(error) is not click.UsageError:  # the other kinds put words of their own around theirs
                raise
            raise click.UsageError(_fitted(error.message), error.ctx) from error
        except KeyboardInterrupt:
            click.echo("Interrupted.", err=True)
            ctx.exit(_INTERRUPTED)


def _fitted(message: str) -> str:
    """Wrap what stands behind `Error: ` to the terminal that it goes to."""
    from otel_llmcost.cli._output import wrapped

    return wrapped(message, first=_ERROR, err=True).removeprefix(_ERROR)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="otel-llmcost")
def cli() -> None:
    """
    Know what every LLM request cost and who should own it.

    \b
    Examples:
      otel-llmcost demo
      otel-llmcost price --provider openai --model gpt-5.4-mini --input 8000 --cached-input 2000 --output 1200
      otel-llmcost report --by team,feature --since 30d
      otel-llmcost report --help

    Exit codes: 0 ok, 1 failed, 2 wrong usage, 3 problems found, 130 interrupted. Settings: OTEL_LLMCOST_*.
    """


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line: the entry point of the `otel-llmcost` script."""
    write_whatever_comes()
    cli(args=arguments, prog_name="otel-llmcost")
