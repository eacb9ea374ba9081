"""What is particular to keys in PostgreSQL."""

import sys
from pathlib import Path

import psycopg
import pytest

from kits.postgreskit import PASSWORD, Postgres
from sluicegate.core.errors import StoreError
from sluicegate.core.identity.keys import KeyRecord
from sluicegate.stores.keys.opening import open_store
from sluicegate.stores.keys.postgres import PostgresKeys


def test_a_lost_connection_is_made_anew(postgres: Postgres) -> None:
    """The call that meets it fails as a StoreError; the next one works."""
    postgres.empty()
    store = PostgresKeys(postgres.url)
    with psycopg.connect(postgres.url, autocommit=True) as db:
        db.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND usename = 'gate'"
        )
    with pytest.raises(StoreError, match="PostgreSQL"):
        store.version()
    store.add(KeyRecord(id="key_1", digest=b"d", created_at=0))
    assert store.version() == 1
    store.close()


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://gate:{PASSWORD}@127.0.0.1:1/postgres",
        f"postgresql://gate:{PASSWORD}@127.0.0.1:1/postgres?no_such_option={PASSWORD}",
        f"postgresql://gate:{PASSWORD}@no.such.host.invalid/postgres",
        f"postgresql://gate:%zz{PASSWORD}@127.0.0.1:1/postgres",
        "postgresql://gate:p%40ss-wörd-of-ours@127.0.0.1:1/p@ss-wörd-of-ours",
    ],
)
def test_an_error_never_shows_the_password(url: str, tmp_path: Path) -> None:
    """No server, a wrong option, an unknown host, a malformed URL."""
    with pytest.raises(StoreError) as refused:
        open_store(tmp_path, url)
    shown = f"{refused.value!r} {refused.value.__cause__!r}"
    assert PASSWORD not in shown
    assert "ss-wörd-of-ours" not in shown


def test_a_wrong_password_is_said(postgres: Postgres) -> None:
    """In the server's words."""
    with pytest.raises(StoreError, match="password authentication failed"):
        PostgresKeys(postgres.url.replace(PASSWORD, "another"))


def test_without_its_driver_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The extra is not installed by default."""
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(StoreError, match=r"pip install 'psycopg\[binary,pool\]>="):
        open_store(tmp_path, "postgresql://h/d")
