"""`sluicegate keys`: virtual keys for clients of a gate in identity.mode keys. A key is shown once, alone on stdout."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from sluicegate.cli.commands import Commands
from sluicegate.cli.key_options import cleared, properties, read
from sluicegate.cli.key_table import print_table, shown
from sluicegate.cli.places import ConfigOption, fail
from sluicegate.core.errors import StoreError
from sluicegate.core.identity.keys import (
    SECRET_BYTES,
    KeyFault,
    KeyRecord,
    digest_of,
    new_id,
    new_key,
    paused,
    resumed,
    revoked,
    rotated,
    updated,
)
from sluicegate.settings import ConfigError, load
from sluicegate.settings.reading.units import duration_s
from sluicegate.stores.keys.base import KeyStore
from sluicegate.stores.keys.opening import open_keys, server_key_of

__all__ = ["app"]

app = Commands(help="Create, list, update, pause and revoke virtual keys.")

KeyId = Annotated[str, typer.Argument(metavar="ID", help="Id of the key, as shown by `keys list`.")]


@contextmanager
def _store(config: Path | None) -> Iterator[tuple[KeyStore, bytes]]:
    """The key store and the server key of the gate with this configuration; errors end the command with one line."""
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


NameOption = Annotated[str | None, typer.Option(help="Name of the key in lists and records.")]
TeamOption = Annotated[str | None, typer.Option(help="Team whose limits and defaults apply.")]
UserOption = Annotated[str | None, typer.Option(help="User whose limits apply.")]
ProjectOption = Annotated[str | None, typer.Option(help="Project, for records.")]
TagOption = Annotated[list[str] | None, typer.Option("--tag", help="NAME=VALUE, such as cost_center=4711. Repeatable.")]
BudgetOption = Annotated[str | None, typer.Option(help="US dollars per hour, day, week or month, e.g. 50/month.")]
ModelsOption = Annotated[list[str] | None, typer.Option(help="Allowed models, e.g. 'claude-haiku-*'. Repeatable.")]
ExpiresOption = Annotated[str | None, typer.Option(help="Lifetime (90d) or date (2027-01-31).")]


@app.command()
def add(
    name: NameOption = None,
    team: TeamOption = None,
    user: UserOption = None,
    project: ProjectOption = None,
    tags: TagOption = None,
    budget: BudgetOption = None,
    models: ModelsOption = None,
    expires: ExpiresOption = None,
    config: ConfigOption = None,
) -> None:
    """Create a key. It is printed once, on stdout; the store holds only its hash."""
    now = time.time()
    about = properties(now, name, team, user, project, tags, budget, models, expires)
    key = new_key(os.urandom(SECRET_BYTES))
    with _store(config) as (store, server_key):
        record = KeyRecord(id=new_id(os.urandom(8)), digest=digest_of(server_key, key.encode()), created_at=now, **about)
        store.add(record)
    _hand_over(record, key)


@app.command()
def update(
    key_id: KeyId,
    name: NameOption = None,
    team: TeamOption = None,
    user: UserOption = None,
    project: ProjectOption = None,
    tags: TagOption = None,
    budget: BudgetOption = None,
    models: ModelsOption = None,
    expires: ExpiresOption = None,
    clear: Annotated[
        list[str] | None,
        typer.Option(help="Empty a property: name, team, user, project, tags, budget, models, expires. Repeatable."),
    ] = None,
    config: ConfigOption = None,
) -> None:
    """Change properties of a key; what no option names stays, and so does the key itself. A tag is added or replaced."""
    given = properties(time.time(), name, team, user, project, tags, budget, models, expires)
    emptied = cleared(clear or ())
    if twice := sorted(set(given) & set(emptied) - {"tags"}):
        fail(f"--clear: {twice[0].removesuffix('_usd').removesuffix('_at')} is also given a value")
    if not given and not emptied:
        fail("nothing to change; `sluicegate keys update --help` lists the properties")

    def change(record: KeyRecord) -> KeyRecord:
        fields = {**emptied, **given}
        if "tags" in given and "tags" not in emptied:
            fields["tags"] = {**record.tags, **given["tags"]}
        return updated(record, fields)

    _change(config, key_id, change, "is updated")


@app.command("list")
def list_(
    as_json: Annotated[bool, typer.Option("--json", help="Print all fields as JSON.")] = False,
    config: ConfigOption = None,
) -> None:
    """List the keys by id and name. The keys themselves are not stored."""
    with _store(config) as (store, _):
        rows = [shown(record, time.time()) for record in store.all()]
    if as_json:
        typer.echo(msgspec.json.format(msgspec.json.encode(rows), indent=2).decode())
    elif rows:
        print_table(rows)
    else:
        typer.echo("no keys yet; create one with `sluicegate keys add`", err=True)


@app.command()
def revoke(key_id: KeyId, config: ConfigOption = None) -> None:
    """Revoke a key for good."""
    _change(config, key_id, lambda r: revoked(r, time.time()), "is revoked")


@app.command()
def pause(key_id: KeyId, config: ConfigOption = None) -> None:
    """Reject a key until it is resumed."""
    _change(config, key_id, lambda r: paused(r, time.time()), "is paused")


@app.command()
def resume(key_id: KeyId, config: ConfigOption = None) -> None:
    """Accept a paused key again."""
    _change(config, key_id, resumed, "is active again")


@app.command()
def rotate(
    key_id: KeyId,
    grace: Annotated[str, typer.Option(help="How long the old key remains valid, e.g. 1h.")] = "0s",
    config: ConfigOption = None,
) -> None:
    """Replace a key; id, limits and spend stay. The new key is printed once, on stdout."""
    grace_s = read("--grace", duration_s, grace) or 0.0
    key = new_key(os.urandom(SECRET_BYTES))
    with _store(config) as (store, server_key):
        digest = digest_of(server_key, key.encode())
        record = store.change(key_id, lambda r: rotated(r, digest, time.time(), grace_s))
    _hand_over(record, key)
    typer.echo(f"the old key {f'remains valid for {grace}' if grace_s else 'is no longer valid'}", err=True)


def _change(config: Path | None, key_id: str, fn: Callable[[KeyRecord], KeyRecord], done: str) -> None:
    with _store(config) as (store, _):
        store.change(key_id, fn)
    typer.echo(f"{key_id} {done}; running gates apply this within a second", err=True)


def _hand_over(record: KeyRecord, key: str) -> None:
    typer.echo(
        f"{record.id}{f' ({record.name})' if record.name else ''}: save this key now; it is not shown again", err=True
    )
    typer.echo(key)
