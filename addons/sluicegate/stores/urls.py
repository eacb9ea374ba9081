"""Store URLs: which kind of store a configuration value names, and where. All stores parse them here.

memory                      this process alone
sqlite                      a file in the state folder, shared by all processes of this machine
sqlite:///PATH              a file of the store's own name in the folder PATH; if PATH is a file, a file beside it
redis://HOST…, rediss://…   Redis or Valkey, shared by several machines
postgresql://…              PostgreSQL (also postgres://)
off                         none
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from sluicegate.core.errors import StoreError

__all__ = ["StoreKind", "StoreUrl", "parse_store_url"]

StoreKind = Literal["off", "memory", "sqlite", "redis", "postgresql"]

_NAMES: Final[dict[str, StoreKind]] = {"off": "off", "memory": "memory", "sqlite": "sqlite"}
_SCHEMES: Final[dict[str, StoreKind]] = {
    "redis": "redis",
    "rediss": "redis",
    "postgres": "postgresql",
    "postgresql": "postgresql",
}
_SQLITE: Final = "sqlite:///"


@dataclass(frozen=True, slots=True)
class StoreUrl:
    """A parsed store URL. `url` may hold a password."""

    kind: StoreKind
    url: str = field(repr=False)
    path: Path | None = None
    """PATH of sqlite:///PATH."""

    def file(self, name: str, folder: Path, *, keep_suffix: bool = False) -> Path:
        """The database file of the store called `name`: `NAME.sqlite`, or beside a file FILE.EXT `FILE-NAME.sqlite`.

        `folder` is the state folder. `keep_suffix`: `FILE-NAME.EXT` instead.
        """
        if self.path is None:
            return folder / f"{name}.sqlite"
        if self.path.is_dir():
            return self.path / f"{name}.sqlite"
        suffix = (self.path.suffix if keep_suffix else "") or ".sqlite"
        return self.path.with_name(f"{self.path.stem}-{name}{suffix}")


def parse_store_url(url: str) -> StoreUrl:
    """Raises StoreError for an unknown kind of store; the message quotes the scheme only."""
    if url.startswith(_SQLITE):
        named = url.removeprefix(_SQLITE)
        return StoreUrl("sqlite", url, Path(named).expanduser() if named else None)
    scheme, separator, _ = url.partition("://")
    kind = _SCHEMES.get(scheme) if separator else _NAMES.get(url)
    if kind is None:
        raise StoreError(
            f"unknown kind of store {url.partition(':')[0]!r}; "
            "use memory, sqlite, sqlite:///PATH, redis://HOST or postgresql://HOST/DATABASE"
        )
    return StoreUrl(kind, url)
