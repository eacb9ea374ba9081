"""`sluicegate stats`: requests, cost and savings of the running gate."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
import typer

from sluicegate.cli.places import ConfigOption
from sluicegate.cli.reach import UrlOption, ask
from sluicegate.cli.table import (
    age,
    money,
    rows,
    size,
)

__all__ = ["stats"]


def stats(
    url: UrlOption = None,
    config: ConfigOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the gate's /stats as JSON.")] = False,
) -> None:
    """Show the running gate's counters."""
    found = ask("/stats", url, config)
    if as_json:
        typer.echo(msgspec.json.format(msgspec.json.encode(found)).decode())
        return
    typer.echo(table_of(found))


def table_of(found: dict[str, Any]) -> str:
    """The page as tables."""
    run = found["run"]
    outcomes = ", ".join(f"{n} {name}" for name, n in run["outcomes"].items()) or "none yet"
    parts = [
        rows(
            [
                ("uptime", age(run["uptime_s"])),
                ("requests", f"{run['requests']} ({outcomes}), {run['active']} active"),
                ("cost", _cost(run)),
                ("bytes", f"{size(run['bytes_in'])} in, {size(run['bytes_out'])} out"),
            ]
        )
    ]
    if run["models"]:
        heads = ("model", "requests", "input", "output", "cache read", "cache write", "cost")
        parts.append(rows([heads, *(_model(name, row) for name, row in run["models"].items())], "lrrrrrr"))
    cache = run["cache"]
    if cache["labels"]:
        labels = ", ".join(f"{name} {n}" for name, n in sorted(cache["labels"].items()))
        lines = [("cache", labels), ("saved", f"{cache['saved_tokens']} tokens, {money(cache['saved_usd'])} since start")]
        if ever := cache["all_time"]:
            stored = f"{ever['entries']} entries, {size(ever['bytes'])}, with expired ones that are not removed yet"
            lines += [
                ("", f"{ever['saved_tokens']} tokens, {money(ever['saved_usd'])} in {ever['hits']} hits, all time"),
                ("stored", stored),
            ]
        parts.append(rows(lines))
    if (lost := run["prompt_cache"])["falls"]:
        parts.append(f"prompt cache  {lost['falls']} misses: {lost['lost_tokens']} tokens, {money(lost['lost_usd'])}")
    if found["alarms"]:
        parts.append(rows([("alarms", ", ".join(f"{k} {n}" for k, n in found["alarms"].items()))]))
    return "\n\n".join(parts)


def _model(name: str, row: dict[str, Any]) -> tuple[str, ...]:
    writes = row.get("cache_write_5m_tokens", 0) + row.get("cache_write_1h_tokens", 0)
    counts = [row.get(f"{kind}_tokens", 0) for kind in ("input", "output", "cache_read")]
    cost = "?" if _unpriced(row) and not row["cost_usd"] else money(row["cost_usd"]) + (" + ?" if _unpriced(row) else "")
    return name[:26], *map(str, (row["requests"], *counts, writes)), cost


def _unpriced(row: dict[str, Any]) -> int:
    return int(row.get("unpriced_requests", 0))


def _cost(run: dict[str, Any]) -> str:
    """Calls of an unknown price are no part of the sum; of them alone there is none."""
    unpriced = _unpriced(run)
    if unpriced and not run["cost_usd"]:
        return f"? ({unpriced} without a price)"
    return money(run["cost_usd"]) + (f" + {unpriced} without a price" if unpriced else "")
