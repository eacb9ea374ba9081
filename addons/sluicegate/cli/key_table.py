"""The output of `sluicegate keys list`: all fields of the records; the keys themselves are not in them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sluicegate.core.identity.keys import KeyRecord

__all__ = ["print_table", "shown"]


def shown(record: KeyRecord, now: float) -> dict[str, Any]:
    return {
        "id": record.id,
        "name": record.name,
        "state": _state(record, now),
        "team": record.team,
        "user": record.user,
        "project": record.project,
        "tags": record.tags,
        "models": record.models,
        "budget_usd": record.budget_usd,
        "created": _iso(record.created_at),
        "expires": _iso(record.expires_at),
        "old_key_until": _iso(record.previous_until) if record.previous_until > now else None,
    }


def _state(record: KeyRecord, now: float) -> str:
    if record.revoked_at is not None:
        return "revoked"
    if record.expires_at is not None and now >= record.expires_at:
        return "expired"
    return "active" if record.paused_at is None else "paused"


def _iso(at: float | None) -> str | None:
    return None if at is None else datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def print_table(rows: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("id", "state", "name", "team", "user", "budget", "expires"):
        whole = column in ("id", "state", "expires")
        table.add_column(column, overflow="fold" if column == "budget" else "ellipsis", no_wrap=whole)
    for row in rows:
        budget = ", ".join(f"${usd:g}/{period}" for period, usd in (row["budget_usd"] or {}).items())
        expires = (row["expires"] or "")[:10]
        table.add_row(row["id"], row["state"], *(row[c] or "" for c in ("name", "team", "user")), budget, expires)
    Console().print(table)
