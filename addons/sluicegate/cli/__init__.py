"""The sluicegate command."""

from __future__ import annotations

import sys

import typer

from sluicegate import __version__
from sluicegate.cli import (
    cache,
    config,
    copilot,
    demo,
    environment,
    keys,
    monitor,
    price,
    run,
    scrub,
    selftest,
    simulate,
    stats,
    usage,
    why,
)
from sluicegate.cli.commands import Commands

__all__ = ["app", "main"]

RUN, SEE, SET_UP, TRY = "Run the gate and its clients", "See what happens", "Set up", "Try out"
"""The groups of commands in the help."""

app = Commands(
    name="sluicegate",
    help="A proxy for LLM traffic, built on mitmproxy.",
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
_as_given = {"allow_extra_args": True, "ignore_unknown_options": True}
app.command("run", rich_help_panel=RUN)(run.run)
app.command("exec", rich_help_panel=RUN, context_settings=_as_given)(environment.exec_)
app.command("env", rich_help_panel=RUN)(environment.env)
app.command("stats", rich_help_panel=SEE)(stats.stats)
app.command("monitor", rich_help_panel=SEE)(monitor.monitor)
app.command("why", rich_help_panel=SEE)(why.why)
app.command("price", rich_help_panel=SEE)(price.price)
app.command("usage", rich_help_panel=SEE)(usage.usage)
app.add_typer(cache.app, name="cache", rich_help_panel=SEE)
app.command("check", rich_help_panel=SET_UP)(config.check)
app.command("schema", rich_help_panel=SET_UP)(config.schema)
app.add_typer(keys.app, name="keys", rich_help_panel=SET_UP)
app.add_typer(copilot.app, name="copilot", rich_help_panel=SET_UP)
app.command("demo", rich_help_panel=TRY)(demo.demo)
app.command("selftest", rich_help_panel=TRY)(selftest.selftest)
app.command("simulate", rich_help_panel=TRY)(simulate.simulate)
app.command("scrub", rich_help_panel=TRY)(scrub.scrub)


def _version(show: bool) -> None:
    if show:
        typer.echo(f"sluicegate {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Show the version."),
) -> None:
    """A proxy for LLM traffic, built on mitmproxy."""


def main() -> None:
    """Entry point of the `sluicegate` command."""
    app(args=sys.argv[1:], prog_name="sluicegate")
