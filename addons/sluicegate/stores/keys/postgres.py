"""Keys in PostgreSQL: for gates on several machines. Needs the extra `postgres` (psycopg 3)."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from sluicegate.core.dependencies import OPTIONAL, adding
from sluicegate.core.errors import StoreError
from sluicegate.core.identity.keys import KeyRecord
from sluicegate.stores.keys.base import NoSuchKey, decoded, encoded

__all__ = ["PostgresKeys"]

_CONNECT_S: Final = 5
_STATEMENT_MS: Final = 5000
_LOCK: Final = 0x736C7569
"""An arbitrary number, the same in every gate: keeps two that start at once from both creating the tables."""
_SCHEMA: Final = (
    f"SELECT pg_advisory_xact_lock({_LOCK})",
    """CREATE TABLE IF NOT EXISTS sluicegate_keys (
        id text PRIMARY KEY, digest bytea NOT NULL UNIQUE, created_at double precision NOT NULL, record jsonb NOT NULL)""",
    "CREATE TABLE IF NOT EXISTS sluicegate_meta (name text PRIMARY KEY, value text NOT NULL)",
    "INSERT INTO sluicegate_meta VALUES ('keys_version', '0') ON CONFLICT DO NOTHING",
)


class PostgresKeys:
    """A KeyStore in the tables sluicegate_keys and sluicegate_meta. The next call replaces a lost connection."""

    def __init__(self, url: str) -> None:
        try:
            import psycopg
        except ImportError as e:
            raise StoreError(f"PostgreSQL needs psycopg: {adding(OPTIONAL['psycopg'])}") from e
        self._url = url
        self._psycopg = psycopg
        self._lock = threading.Lock()
        self._connection: Any = None
        with self._transaction() as db:
            for statement in _SCHEMA:
                db.execute(statement)

    @contextmanager
    def _transaction(self) -> Iterator[Any]:
        with self._lock:
            try:
                if self._connection is None or self._connection.closed:
                    # no state beyond a transaction: there may be a PgBouncer in between
                    self._connection = self._psycopg.connect(self._url, connect_timeout=_CONNECT_S, prepare_threshold=None)
                with self._connection.transaction():
                    self._connection.execute(f"SET LOCAL statement_timeout = {_STATEMENT_MS}")
                    yield self._connection
            except self._psycopg.Error as e:
                if self._connection is not None and self._connection.broken:
                    self._connection.close()
                raise StoreError(f"PostgreSQL: {self._why(e)}") from None  # the cause may quote the URL

    def _why(self, e: Exception) -> str:
        """The first line of the driver's message, without the password."""
        text = (str(e).strip().splitlines() or [type(e).__name__])[0].replace(self._url, "the URL")
        password = urlsplit(self._url).password
        for spelling in {password, unquote(password)} if password else ():
            text = text.replace(spelling, "***")
        return text[:300]

    def add(self, record: KeyRecord) -> None:
        with self._transaction() as db:
            try:
                db.execute(
                    "INSERT INTO sluicegate_keys VALUES (%s, %s, %s, %s::jsonb)",
                    (record.id, record.digest, record.created_at, encoded(record)),
                )
            except self._psycopg.errors.UniqueViolation:
                raise StoreError(f"a key with the id {record.id}, or the same key, exists already") from None
            _bump_version(db)

    def all(self) -> list[KeyRecord]:
        with self._transaction() as db:
            rows = db.execute("SELECT record::text FROM sluicegate_keys ORDER BY created_at, id").fetchall()
        return [decoded(text) for (text,) in rows]

    def change(self, key_id: str, fn: Callable[[KeyRecord], KeyRecord]) -> KeyRecord:
        with self._transaction() as db:
            query = "SELECT record::text FROM sluicegate_keys WHERE id = %s FOR UPDATE"
            row = db.execute(query, (key_id,)).fetchone()
            if row is None:
                raise NoSuchKey(f"no key has the id {key_id}; `sluicegate keys list` shows them")
            record = fn(decoded(row[0]))
            db.execute(
                "UPDATE sluicegate_keys SET digest = %s, record = %s::jsonb WHERE id = %s",
                (record.digest, encoded(record), key_id),
            )
            _bump_version(db)
        return record

    def version(self) -> int:
        with self._transaction() as db:
            (value,) = db.execute("SELECT value FROM sluicegate_meta WHERE name = 'keys_version'").fetchone()
        return int(value)

    def claim(self, fingerprint: str) -> bool:
        with self._transaction() as db:
            db.execute(
                "INSERT INTO sluicegate_meta VALUES ('server_key', %s) ON CONFLICT DO NOTHING",
                (fingerprint,),
            )
            (kept,) = db.execute("SELECT value FROM sluicegate_meta WHERE name = 'server_key'").fetchone()
        return bool(kept == fingerprint)

    def close(self) -> None:
        with self._lock:
            if self._connection is not None:
                self._connection.close()


def _bump_version(db: Any) -> None:
    db.execute("UPDATE sluicegate_meta SET value = (value::bigint + 1)::text WHERE name = 'keys_version'")
