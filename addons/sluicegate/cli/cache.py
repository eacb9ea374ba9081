"""`sluicegate cache …`: inspect the response cache, delete entries, switch it on and off, compare keys."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from typing import Annotated

import typer

from sluicegate.cli.cache_entries import HEADINGS, description_of, encryption_of, open_store, row_of
from sluicegate.cli.cache_key import key
from sluicegate.cli.commands import Commands
from sluicegate.cli.places import ConfigOption, fail, read_settings
from sluicegate.cli.table import (
    printable,
    rows,
)
from sluicegate.core.dependencies import OPTIONAL, adding
from sluicegate.core.errors import StoreError
from sluicegate.settings import Settings
from sluicegate.settings.secret import SecretError
from sluicegate.stores.cache.base import (
    CacheStore,
    Entry,
    EntrySummary,
)

__all__ = ["app"]

app = Commands(help="Inspect the response cache, delete entries, switch it on and off.")

Prefix = Annotated[str, typer.Argument(help="The first digits of a key, as `sluicegate cache list` shows it.")]


def in_store[T](settings: Settings, work: Callable[[CacheStore], Awaitable[T]]) -> T:
    """Run `work` on the configuration's cache store; ends the command if the store fails."""

    async def run() -> T:
        store = open_store(settings)
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
    prefix: Annotated[str, typer.Argument(help="Only entries whose key begins with this.")] = "",
    config: ConfigOption = None,
    limit: Annotated[int, typer.Option(min=1, help="How many entries, the most recently used first.")] = 50,
) -> None:
    """List the entries, the most recently used first."""
    settings = read_settings(config)
    found = in_store(settings, lambda store: store.listing(prefix, limit + 1))
    more, found = len(found) > limit, found[:limit]
    if not found:
        typer.echo(f"no entry matches {prefix}" if prefix else "the cache is empty")
        return
    table = [HEADINGS, *(row_of(entry) for entry in found)]
    typer.echo(rows(table, "lrrrrrrl"))
    if more:
        typer.echo(f"these are the {limit} most recently used ones; --limit shows more")
    if any(entry.head.snippet for entry in found):
        typer.echo("\n" + rows([(e.key[:12], e.head.snippet[:66]) for e in found]))


@app.command()
def show(
    prefix: Prefix,
    config: ConfigOption = None,
    body: Annotated[bool, typer.Option("--body", help="Only the recorded answer, byte for byte.")] = False,
) -> None:
    """Show an entry: its fields, and the recorded answer."""
    settings = read_settings(config)
    summary = _only_match(settings, prefix)
    entry = read_entry(settings, summary.key)
    if body:
        sys.stdout.buffer.write(entry.body)
        return
    typer.echo(description_of(summary))
    typer.echo(printable(entry.body), nl=False)


def read_entry(settings: Settings, key: str) -> Entry:
    """An entry with its body, decrypted if necessary; ends the command if it cannot be read."""
    try:
        encryption = encryption_of(settings)
    except SecretError as e:
        fail(str(e))
    found = in_store(settings, lambda store: store.get(key))
    entry = encryption.decrypt(found) if found else None
    if entry is None:
        fail(
            "the entry cannot be decrypted with this configuration's cache.encrypt_key"
            if found
            else "the entry no longer exists"
        )
    return entry


def _only_match(settings: Settings, prefix: str) -> EntrySummary:
    found = in_store(settings, lambda store: store.listing(prefix.lower(), 5))
    if not found:
        fail(f"no entry matches {prefix[:64]!r}; see `sluicegate cache list`", 1)
    if len(found) > 1:
        fail(f"{prefix[:64]!r} matches several keys: {', '.join(e.key[:12] for e in found)}; give more digits", 1)
    return found[0]


@app.command()
def rm(
    prefix: Annotated[str, typer.Argument(help="The first digits of the keys to delete.")] = "",
    config: ConfigOption = None,
    everything: Annotated[bool, typer.Option("--all", help="Delete all entries.")] = False,
) -> None:
    """Delete the entries whose key begins with PREFIX. Running gates notice within a second."""
    if not prefix and not everything:
        fail("give the first digits of a key, or --all")

    async def delete(store: CacheStore) -> int:
        deleted = 0
        while found := await store.listing(prefix.lower(), 500):
            for entry in found:
                deleted += await store.delete(entry.key)
        return deleted

    deleted = in_store(read_settings(config), delete)
    typer.echo(f"deleted {deleted} {'entry' if deleted == 1 else 'entries'}")


@app.command()
def on(config: ConfigOption = None) -> None:
    """Switch the cache on again, for all gates that share the store."""
    in_store(read_settings(config), lambda store: store.set_enabled(True))
    typer.echo("the cache is on")


@app.command()
def off(config: ConfigOption = None) -> None:
    """Switch the cache off for all gates that share the store, within a second, until `cache on`; entries are kept."""
    in_store(read_settings(config), lambda store: store.set_enabled(False))
    typer.echo("the cache is off; its entries are kept")


@app.command()
def explore(config: ConfigOption = None) -> None:
    """Browse the cache in the terminal: arrow keys move, enter shows, d deletes, q quits."""
    try:
        from sluicegate.cli.explore import Explorer
    except ImportError:
        fail(f"explore needs the textual package: {adding(OPTIONAL['textual'])}")
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        fail("explore needs a terminal; `sluicegate cache list` and `sluicegate cache show` do not")
    Explorer(read_settings(config)).run()


app.command("key")(key)
