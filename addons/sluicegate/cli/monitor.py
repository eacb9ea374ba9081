"""`sluicegate monitor`: one line per call, live."""

from __future__ import annotations

import contextlib
import http.client
from collections.abc import Iterator
from typing import Annotated, Any

import msgspec
import typer

from sluicegate.cli.places import ConfigOption, fail
from sluicegate.cli.reach import UrlOption, open_page
from sluicegate.cli.table import money
from sluicegate.core.wire.sse import SSEParser

__all__ = ["line_of", "monitor"]

_READ = 65_536
_SILENT_S = 60.0  # the gate sends a comment every 15 s


def monitor(
    url: UrlOption = None,
    config: ConfigOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object per line.")] = False,
    count: Annotated[int, typer.Option("--count", "-n", min=0, help="Stop after this many calls; 0: never.")] = 0,
) -> None:
    """Print one line per call, live: number, cache status or outcome, model, tokens, cost, duration. Stop with Ctrl-C."""
    connection, response = open_page("/monitor", url, config, timeout_s=_SILENT_S)
    seen = 0
    with contextlib.suppress(KeyboardInterrupt), contextlib.closing(connection):
        for data in _events(response):
            typer.echo(data.decode() if as_json else line_of(msgspec.json.decode(data)))
            seen += 1
            if count and seen >= count:
                return
        fail("the gate closed the connection", 1)


def _events(response: http.client.HTTPResponse) -> Iterator[bytes]:
    parser = SSEParser()
    try:
        while data := response.read1(_READ):
            yield from (event.data for event in parser.feed(data))
    except (OSError, http.client.HTTPException) as e:
        fail(f"connection to the gate lost: {type(e).__name__}", 1)


def line_of(call: dict[str, Any]) -> str:
    """`12 HIT       claude-haiku-4-5           274tok $0.0000    1.2ms  what is asked`"""
    label = call["label"] or str(call["outcome"]).upper()
    cost = money(call["cost_usd"] if call["tokens"] else call["cost_usd"] or 0.0)  # "?": tokens of an unknown price
    cells = (
        f"{call['seq']:>5} {label:<13} {str(call['model'] or '-')[:26]:<26} {call['tokens']:>7}tok "
        f"{cost:>8} {call['duration_ms']:>8.1f}ms"
    )
    if call.get("saved_usd"):
        cells += f"  saved {money(call['saved_usd'])}"
    line = f"{cells}  {call['snippet']}" if call.get("snippet") else cells
    return "".join(c if c.isprintable() else "?" for c in line)
