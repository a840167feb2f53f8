"""
The command line: one module per command, loaded only when it is called, and no logic in any of them.

Data goes to standard output, words to standard error. Exit codes: 0 ok, 1 failed, 2 wrong usage, 3 problems found.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence

import click

from otel_llmcost.errors import LLMCostError

__all__ = ["main"]

COMMANDS = {
    "audit": "Price pasted traces or raw responses, offline.",
    "demo": "Run the main job on generated traffic and print its report.",
    "doctor": "What makes the bill wrong or incomplete, each finding with its fix.",
    "explain": "Show the arithmetic of a request: every count, its rate, the rate's source and date.",
    "forget": "Replace a customer's id by (forgotten); every total stays.",
    "price": "Price one request from flags, or JSON lines from standard input.",
    "rates": "List and explain rates; check a rate card.",
    "repair": "Put right what verify finds: take back what was charged twice, build rollups anew.",
    "report": "What was spent, by one or two dimensions.",
    "requests": "The rows behind a report, newest first.",
    "schema": "Create or inspect the ledger's tables.",
    "serve": "Own an embedded ledger: ship its journal, answer the other commands.",
    "ship": "Ship the journals of all processes of this machine to a ClickHouse server.",
    "verify": "Do rows and rollups agree, was anything charged twice, is anything left behind.",
}


class _Commands(click.Group):
    """Loads a command's module at the first use, so that `--help` never imports an engine."""

    def list_commands(self, _ctx: click.Context) -> list[str]:
        return sorted(COMMANDS)

    def get_command(self, _ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        command: click.Command = getattr(importlib.import_module(f"otel_llmcost.cli.{name}"), name)
        return command

    def format_commands(self, _ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(sorted(COMMANDS.items()))

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except LLMCostError as error:
            raise click.ClickException(str(error)) from error


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
    """


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line: the entry point of the `otel-llmcost` script."""
    cli(args=arguments, prog_name="otel-llmcost")
