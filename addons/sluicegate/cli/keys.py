"""`sluicegate keys`: virtual keys, for clients of a gate in identity.mode keys. A key is shown once, alone on stdout."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from sluicegate.cli.key_options import (
    moment,
    named,
    pattern,
    read,
    tag,
)
from sluicegate.cli.key_table import print_table, shown
from sluicegate.cli.places import fail
from sluicegate.core.errors import StoreError
from sluicegate.core.identity.keys import (
    SECRET_BYTES,
    KeyFault,
    KeyRecord,
    digest_of,
    new_id,
    new_key,
    parse_budget,
    paused,
    resumed,
    revoked,
    rotated,
)
from sluicegate.settings import ConfigError, load
from sluicegate.settings.units import duration_s
from sluicegate.stores.keys.base import KeyStore
from sluicegate.stores.keys.opening import open_keys, server_key_of

__all__ = ["app"]

app = typer.Typer(help="Make, list, pause and revoke virtual keys.", no_args_is_help=True)

ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", "-c", help="The gate's configuration: says where keys are kept. Default: SLUICEGATE_CONFIG."),
]
KeyId = Annotated[str, typer.Argument(metavar="ID", help="The key's id, as `keys list` shows it.")]


@contextmanager
def _store(config: Path | None) -> Iterator[tuple[KeyStore, bytes]]:
    """The store that the gate with this configuration uses, and its server key; what is wrong becomes one line."""
    path = config or (Path(os.environ["SLUICEGATE_CONFIG"]) if os.environ.get("SLUICEGATE_CONFIG") else None)
    try:
        settings = load(path, os.environ)
        server_key = server_key_of(settings, os.environ)
        store = open_keys(settings, server_key)
    except ConfigError as e:
        fail(e.report())
    except (StoreError, ValueError) as e:
        fail(str(e))
    try:
        yield store, server_key
    except (StoreError, KeyFault) as e:
        fail(str(e), 1)
    finally:
        store.close()


@app.command()
def add(
    name: Annotated[str | None, typer.Option(help="What the key is called in lists and records.")] = None,
    team: Annotated[str | None, typer.Option(help="Whose limits and defaults hold for it.")] = None,
    user: Annotated[str | None, typer.Option()] = None,
    project: Annotated[str | None, typer.Option()] = None,
    tags: Annotated[
        list[str] | None, typer.Option("--tag", help="NAME=VALUE, such as cost_center=4711. May be repeated.")
    ] = None,
    budget: Annotated[str | None, typer.Option(help="US dollars per hour, day, week or month: 50/month")] = None,
    models: Annotated[list[str] | None, typer.Option(help="A pattern such as 'claude-haiku-*'. May be repeated.")] = None,
    expires: Annotated[str | None, typer.Option(help="After so long (90d), or at a time (2027-01-31).")] = None,
    config: ConfigOption = None,
) -> None:
    """Make a key. It is printed on stdout, once; only its hash is kept."""
    now = time.time()
    about: dict[str, Any] = {
        "name": named("--name", name),
        "team": named("--team", team),
        "user": named("--user", user),
        "project": named("--project", project),
        "tags": dict(tag(t) for t in tags or ()),
        "models": tuple(pattern(p) for group in models or () for p in group.split(",")),
        "budget_usd": read("--budget", parse_budget, budget),
        "expires_at": read("--expires", lambda written: moment(written, now), expires),
    }
    key = new_key(os.urandom(SECRET_BYTES))
    with _store(config) as (store, server_key):
        record = KeyRecord(id=new_id(os.urandom(8)), digest=digest_of(server_key, key.encode()), created_at=now, **about)
        store.add(record)
    _hand_over(record, key)


@app.command("list")
def list_(
    as_json: Annotated[bool, typer.Option("--json", help="As JSON, all of what is known.")] = False,
    config: ConfigOption = None,
) -> None:
    """List the keys. Never shows one: they are not kept."""
    with _store(config) as (store, _):
        rows = [shown(record, time.time()) for record in store.all()]
    if as_json:
        typer.echo(msgspec.json.format(msgspec.json.encode(rows), indent=2).decode())
    elif rows:
        print_table(rows)
    else:
        typer.echo("there are no keys; make one with `sluicegate keys add`", err=True)


@app.command()
def revoke(key_id: KeyId, config: ConfigOption = None) -> None:
    """Let a key never be used again."""
    _change(config, key_id, lambda r: revoked(r, time.time()), "is revoked")


@app.command()
def pause(key_id: KeyId, config: ConfigOption = None) -> None:
    """Let a key not be used until it is resumed."""
    _change(config, key_id, lambda r: paused(r, time.time()), "is paused")


@app.command()
def resume(key_id: KeyId, config: ConfigOption = None) -> None:
    """Let a paused key be used again."""
    _change(config, key_id, resumed, "works again")


@app.command()
def rotate(
    key_id: KeyId,
    grace: Annotated[str, typer.Option(help="How long the old key still works: 1h")] = "0s",
    config: ConfigOption = None,
) -> None:
    """Put a new key in place of an old one: same id, limits and spending. It is printed on stdout, once."""
    grace_s = read("--grace", duration_s, grace) or 0.0
    key = new_key(os.urandom(SECRET_BYTES))
    with _store(config) as (store, server_key):
        digest = digest_of(server_key, key.encode())
        record = store.change(key_id, lambda r: rotated(r, digest, time.time(), grace_s))
    _hand_over(record, key)
    typer.echo(f"the old key {f'works for {grace} more' if grace_s else 'does not work any more'}", err=True)


def _change(config: Path | None, key_id: str, fn: Callable[[KeyRecord], KeyRecord], done: str) -> None:
    with _store(config) as (store, _):
        store.change(key_id, fn)
    typer.echo(f"{key_id} {done}; running gates know it within a second", err=True)


def _hand_over(record: KeyRecord, key: str) -> None:
    typer.echo(f"{record.id}{f' ({record.name})' if record.name else ''}: keep this key, it is not shown again", err=True)
    typer.echo(key)
