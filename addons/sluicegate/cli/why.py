"""`sluicegate why`: the causes of a session's prompt-cache misses."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from sluicegate.cli.places import ConfigOption, fail, read_settings
from sluicegate.cli.reach import UrlOption, ask
from sluicegate.cli.table import money

__all__ = ["why"]


def why(
    session: Annotated[str, typer.Argument(help="Session id, a prefix of one, or an exchange id.")] = "",
    url: UrlOption = None,
    log: Annotated[Path | None, typer.Option(help="Read this audit log instead of querying the gate.")] = None,
    config: ConfigOption = None,
) -> None:
    """Show what changed when the provider's prompt cache missed in a session, and the cost."""
    if log is None and config is not None and (target := read_settings(config).audit.log).startswith("file:"):
        log = Path(target.removeprefix("file:")).expanduser()
    misses = _logged(log) if log else ask("/stats", url, config)["run"]["prompt_cache"]["recent"]
    found = [m for m in misses if not session or _is_of(m, session)]
    if not found:
        typer.echo(f"no prompt-cache misses recorded{f' for {session}' if session else ''}")
        return
    for miss in found:
        typer.echo(text_of(miss))
    lost, usd = sum(m["lost_tokens"] for m in found), sum(m["lost_usd"] or 0.0 for m in found)
    typer.echo(f"total: {len(found)} {'miss' if len(found) == 1 else 'misses'}, {lost} tokens, {money(usd)}")


def text_of(miss: dict[str, Any]) -> str:
    """Time, session, cause and cost; both values if the record quotes them."""
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(miss["at"]))
    text = f"{when}  {miss['session'] or miss['exchange']}\n  {miss['what']}"
    text += f"\n  {miss['lost_tokens']} tokens not read from the cache: {money(miss['lost_usd'])}"
    if miss.get("before") is not None:
        text += f"\n  before: {miss['before']!r}\n  now:    {miss['now']!r}"
    return "".join(c if c.isprintable() or c == "\n" else "?" for c in text)


def _is_of(miss: dict[str, Any], session: str) -> bool:
    return str(miss["session"]).startswith(session) or miss["exchange"] == session


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
