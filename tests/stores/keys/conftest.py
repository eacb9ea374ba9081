"""Every key store there is, each as new."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kits.postgreskit import Postgres
from sluicegate.stores.keys.base import KeyStore
from sluicegate.stores.keys.opening import open_store

type OpenStore = Callable[[], KeyStore]


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    with Postgres() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgres"])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[OpenStore]:
    """Opens the same store again and again, as gates and commands do; closes all at the end."""
    ledger = "sqlite"
    if request.param == "postgres":
        server: Postgres = request.getfixturevalue("postgres")
        server.empty()
        ledger = server.url
    stores: list[KeyStore] = []

    def begin() -> KeyStore:
        stores.append(open_store(tmp_path / "state", ledger))
        return stores[-1]

    yield begin
    for store in stores:
        store.close()
