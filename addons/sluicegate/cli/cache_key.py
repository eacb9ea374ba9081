"""`sluicegate cache key`: the cache keys of saved requests, and the first difference between two of them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sluicegate.cli.places import ConfigOption, fail, read_settings
from sluicegate.cli.table import printable, rows
from sluicegate.core.cachekey.difference import first_difference
from sluicegate.core.cachekey.key import (
    Bypass,
    KeyInput,
    KeyMaker,
    KeyRules,
    is_api_header,
    read_body,
    tenant_of,
)
from sluicegate.core.cachekey.normalize import Strips, compile_strips, normalized
from sluicegate.core.messages.facts import read_request, session_of

__all__ = ["key"]


def key(
    files: Annotated[list[Path], typer.Argument(help="Request bodies (JSON).")],
    diff: Annotated[bool, typer.Option("--diff", help="Show the first difference between two requests.")] = False,
    header: Annotated[
        list[str] | None,
        typer.Option("--header", "-H", help="Request header, e.g. 'anthropic-version: 2023-06-01'. Repeatable."),
    ] = None,
    query: Annotated[str, typer.Option(help="Query string of the path, without the question mark.")] = "",
    config: ConfigOption = None,
) -> None:
    """Print the cache keys of requests; with --diff, the first difference that the cache sees between two."""
    settings = read_settings(config)
    strips = compile_strips(settings.cache.strip.system, settings.cache.strip.messages)
    bodies = [_read(file) for file in files]
    if diff:
        if len(bodies) != 2:
            fail("--diff expects two files")
        exact = settings.cache.mode == "exact"
        left, right = (_plain(body, exact, strips) for body in bodies)
        try:
            found = first_difference(left, right)
        except RecursionError:
            fail("cannot compare the files: nested too deeply")
        if found is None:
            same = "byte for byte" if bodies[0] == bodies[1] else "as the cache sees them"
            typer.echo(f"the same, {same}" if not exact or bodies[0] == bodies[1] else "different, in white space only")
            raise typer.Exit(0 if not exact or bodies[0] == bodies[1] else 1)
        typer.echo(printable(f"{found.path}\n  {files[0]}: {found.left}\n  {files[1]}: {found.right}"))
        raise typer.Exit(1)
    fields = [(k.strip().lower(), v.strip()) for k, _, v in (h.partition(":") for h in header or ())]
    for file, body in zip(files, bodies, strict=True):
        typer.echo(_keys(file, body, fields, query, KeyRules("suffix", strips, settings.cache.suffix_messages)))


def _keys(file: Path, body: bytes, fields: list[tuple[str, str]], query: str, rules: KeyRules) -> str:
    facts, headers = read_request(body), dict(fields)
    request = KeyInput(
        tenant_of(None, [(k.encode(), v.encode()) for k, v in fields if k in ("x-api-key", "authorization", "api-key")]),
        "messages",
        (facts.model if facts else None) or "",
        body,
        headers.get("anthropic-version", ""),
        [v for k, v in fields if k == "anthropic-beta"],
        [f"{k}: {v}" for k, v in fields if is_api_header(k.encode()) and k not in ("anthropic-version", "anthropic-beta")],
        query,
        session_id=session_of(headers, facts),
    )
    keys = KeyMaker(rules).keys(request)
    if isinstance(keys, Bypass):
        return f"{file}: no key: {keys.why}"
    table = [("exact", keys.exact), *keys.lookup]
    return f"{file}\n" + rows([(f"  {tier}", found) for tier, found in table])


def _plain(body: bytes, exact: bool, strips: Strips) -> object:
    value = read_body(body)
    if value is None:
        fail("expected a strict JSON object; any other request bypasses the cache")
    facts = read_request(body)
    return value if exact else normalized(value, strips, facts.session_id if facts else None)


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as e:
        fail(f"{file}: {e.strerror}")
