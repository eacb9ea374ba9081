"""`sluicegate why`: why a session's prompts were not read from the provider's cache."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from sluicegate.cli.places import fail
from sluicegate.cli.reach import (
    ConfigOption,
    UrlOption,
    ask,
    read_settings,
)
from sluicegate.cli.table import money

__all__ = ["why"]


def why(
    session: Annotated[str, typer.Argument(help="A session's id, or how it begins; an exchange's id does as well.")] = "",
    url: UrlOption = None,
    log: Annotated[Path | None, typer.Option(help="Read this audit log in place of asking the running gate.")] = None,
    config: ConfigOption = None,
) -> None:
    """Say what changed when a session's prompts were no longer read from the provider's cache, and what it cost."""
    if log is None and config is not None and (target := read_settings(config).audit.log).startswith("file:"):
        log = Path(target.removeprefix("file:")).expanduser()
    falls = _logged(log) if log else ask("/stats", url)["run"]["prompt_cache"]["recent"]
    found = [f for f in falls if not session or _is_of(f, session)]
    if not found:
        typer.echo(f"no fall of the prompt cache is known{f' of {session}' if session else ''}")
        return
    for fall in found:
        typer.echo(told(fall))
    lost, usd = sum(f["lost_tokens"] for f in found), sum(f["lost_usd"] or 0.0 for f in found)
    typer.echo(f"{len(found)} in all: {lost} tokens, {money(usd)}")


def told(fall: dict[str, Any]) -> str:
    """When, what, where, how much; and both values where the gate was told to quote."""
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(fall["at"]))
    text = f"{when}  {fall['session'] or fall['exchange']}\n  {fall['what']}"
    text += f"\n  {fall['lost_tokens']} tokens were not read again: {money(fall['lost_usd'])}"
    if fall.get("before") is not None:
        text += f"\n  before: {fall['before']!r}\n  now:    {fall['now']!r}"
    return "".join(c if c.isprintable() or c == "\n" else "?" for c in text)


def _is_of(fall: dict[str, Any], session: str) -> bool:
    return str(fall["session"]).startswith(session) or fall["exchange"] == session


def _logged(log: Path) -> list[dict[str, Any]]:
    found = []
    try:
        with log.open("rb") as lines:
            for line in lines:
                if b'"prompt_cache_fall":{' in line:
                    record = msgspec.json.decode(line)
                    about = {name: record[name] for name in ("exchange", "session")}
                    at = time.mktime(time.strptime(record["time"][:19], "%Y-%m-%dT%H:%M:%S")) - time.timezone
                    found.append({**about, "at": at, **record["prompt_cache_fall"]})
    except OSError as e:
        fail(f"{log}: {e.strerror}")
    except (msgspec.DecodeError, KeyError, ValueError):
        fail(f"{log}: not an audit log in JSON")
    return found
