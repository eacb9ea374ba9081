"""`sluicegate cache …`: look into the response cache, delete from it, switch it, compare keys."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Annotated

import msgspec
import typer

from sluicegate.cli.cache_key import key
from sluicegate.cli.places import fail
from sluicegate.cli.reach import ConfigOption, read_settings
from sluicegate.cli.table import (
    age,
    money,
    printable,
    rows,
    size,
)
from sluicegate.core.errors import StoreError
from sluicegate.core.formats.registry import format_of
from sluicegate.settings import Settings
from sluicegate.settings.secret import SecretError
from sluicegate.stores.cache import cache_location, open_cache
from sluicegate.stores.cache.base import (
    CacheStore,
    Entry,
    EntrySummary,
    Limits,
)
from sluicegate.stores.cache.encryption import BodyEncryption

__all__ = ["app", "in_store", "line_of"]

app = typer.Typer(no_args_is_help=True, help="Look into the response cache, delete from it, switch it on and off.")

Prefix = Annotated[str, typer.Argument(help="The first digits of a key, as `sluicegate cache list` shows it.")]
HEADINGS = ("key", "age", "left", "hits", "size", "tokens", "cost", "model")


def in_store[T](settings: Settings, work: Callable[[CacheStore], Awaitable[T]]) -> T:
    """Do something with the configuration's cache; ends the command where that fails."""

    async def run() -> T:
        own = settings.cache
        store = open_cache(cache_location(settings.store, settings.state_dir), Limits(own.max_entries, own.max_bytes))
        try:
            return await work(store)
        finally:
            await store.close()

    try:
        return asyncio.run(run())
    except StoreError as e:
        fail(str(e))


@app.command("list")
def list_(
    prefix: Annotated[str, typer.Argument(help="Only keys that begin so.")] = "",
    config: ConfigOption = None,
    limit: Annotated[int, typer.Option(min=1, help="How many, the last used first.")] = 50,
) -> None:
    """List what is kept, the last used first."""
    settings = read_settings(config)
    found = in_store(settings, lambda store: store.listing(prefix, limit))
    if not found:
        typer.echo("nothing is kept" + (f" under {prefix}" if prefix else ""))
        return
    table = [HEADINGS, *(line_of(entry) for entry in found)]
    typer.echo(rows(table, "lrrrrrrl"))
    if any(entry.head.snippet for entry in found):
        typer.echo("\n" + rows([(e.key[:12], e.head.snippet[:66]) for e in found]))


def line_of(entry: EntrySummary) -> tuple[str, ...]:
    """An entry as the cells of a table; see HEADINGS."""
    now, head = time.time(), entry.head
    counts = format_of(head.surface).kind == "counts"
    tokens, cost = ("-", "-") if counts else (str(sum(head.tokens)), money(head.cost_usd))
    model = f"{head.model} (count)" if counts else head.model
    return (
        entry.key[:12],
        age(now - entry.created),
        age(entry.expires - now),
        str(entry.hits),
        size(entry.size),
        tokens,
        cost,
        printable(model[:26]),
    )


@app.command()
def show(
    prefix: Prefix,
    config: ConfigOption = None,
    body: Annotated[bool, typer.Option("--body", help="The recorded answer alone, byte for byte.")] = False,
) -> None:
    """Show an entry: what is known of it, and the recorded answer."""
    settings = read_settings(config)
    one = _only(settings, prefix)
    entry = read_entry(settings, one.key)
    if body:
        sys.stdout.buffer.write(entry.body)
        return
    typer.echo(described(one))
    typer.echo(printable(entry.body), nl=False)


def described(one: EntrySummary) -> str:
    """All that is known of an entry, a line for each field."""
    head = msgspec.to_builtins(one.head)
    known = {
        "key": one.key,
        "created": time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(one.created)),
        "expires": time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(one.expires)),
        "hits": one.hits,
        "size": size(one.size),
        **{k: v for k, v in head.items() if k not in ("headers", "timing")},
        **dict(one.head.headers),
    }
    return rows([(printable(str(k)), printable(str(v))) for k, v in known.items()]) + "\n"


def read_entry(settings: Settings, key: str) -> Entry:
    """An entry with its body, decrypted where need be."""
    own = settings.cache
    try:
        encryption = BodyEncryption(own.encrypt_key.resolve(os.environ) if own.encrypt_key else None)
    except SecretError as e:
        fail(str(e))
    found = in_store(settings, lambda store: store.get(key))
    entry = encryption.decrypt(found) if found else None
    if entry is None:
        fail("it cannot be decrypted with this configuration's cache.encrypt_key" if found else "it is not there any more")
    return entry


def _only(settings: Settings, prefix: str) -> EntrySummary:
    found = in_store(settings, lambda store: store.listing(prefix.lower(), 5))
    if not found:
        fail(f"nothing is kept under {prefix[:64]!r}; see `sluicegate cache list`", 1)
    if len(found) > 1:
        fail(f"{prefix[:64]!r} fits several keys: {', '.join(e.key[:12] for e in found)}; give more digits", 1)
    return found[0]


@app.command()
def rm(
    prefix: Annotated[str, typer.Argument(help="The first digits of the keys.")] = "",
    config: ConfigOption = None,
    everything: Annotated[bool, typer.Option("--all", help="Delete all entries.")] = False,
) -> None:
    """Delete the entries whose keys begin so. Gates that run notice within a second."""
    if not prefix and not everything:
        fail("say which: the first digits of a key, or --all")

    async def delete(store: CacheStore) -> int:
        gone = 0
        while found := await store.listing(prefix.lower(), 500):
            for entry in found:
                gone += await store.delete(entry.key)
        return gone

    gone = in_store(read_settings(config), delete)
    typer.echo(f"deleted {gone} {'entry' if gone == 1 else 'entries'}")


@app.command()
def on(config: ConfigOption = None) -> None:
    """Switch the cache on again, for all gates that share it."""
    in_store(read_settings(config), lambda store: store.set_enabled(True))
    typer.echo("the cache is on")


@app.command()
def off(config: ConfigOption = None) -> None:
    """Switch the cache off until it is switched on: gates that share it neither look nor keep, within a second."""
    in_store(read_settings(config), lambda store: store.set_enabled(False))
    typer.echo("the cache is off; entries stay")


@app.command()
def explore(config: ConfigOption = None) -> None:
    """Browse the cache in the terminal: arrows move, enter shows, d deletes, q quits."""
    try:
        from sluicegate.cli.explore import Explorer
    except ImportError:
        fail("explore needs the textual package: pip install 'sluicegate[tui]'")
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        fail("explore needs a terminal; `sluicegate cache list` and `show` do not")
    Explorer(read_settings(config)).run()


app.command("key")(key)
