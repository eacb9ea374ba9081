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

__all__ = ["app", "main"]

app = typer.Typer(
    name="sluicegate",
    help="A proxy for LLM traffic, built on mitmproxy.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("run")(run.run)
app.command("exec", context_settings={"allow_extra_args": True, "ignore_unknown_options": True})(environment.exec_)
app.command("env")(environment.env)
app.add_typer(keys.app, name="keys")
app.command("check")(config.check)
app.command("schema")(config.schema)
app.command("scrub")(scrub.scrub)
app.command("selftest")(selftest.selftest)
app.command("demo")(demo.demo)
app.command("simulate")(simulate.simulate)
app.add_typer(copilot.app, name="copilot")
app.command("stats")(stats.stats)
app.command("monitor")(monitor.monitor)
app.command("price")(price.price)
app.command("usage")(usage.usage)
app.command("why")(why.why)
app.add_typer(cache.app, name="cache")


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
