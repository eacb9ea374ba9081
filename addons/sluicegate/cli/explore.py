"""The cache in a terminal: a list of entries, and one entry as a whole. Needs textual (extra `tui`)."""

from __future__ import annotations

import os
from typing import Any, ClassVar

from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import Screen
from textual.widgets import DataTable, Footer, Static

from sluicegate.cli.cache import HEADINGS, described, line_of
from sluicegate.cli.table import printable
from sluicegate.core.errors import StoreError
from sluicegate.settings import Settings
from sluicegate.settings.secret import SecretError
from sluicegate.stores.cache import cache_location, open_cache
from sluicegate.stores.cache.base import CacheStore, EntrySummary, Limits
from sluicegate.stores.cache.encryption import BodyEncryption

__all__ = ["Explorer"]

_MAX_LISTED = 1000
_MAX_SHOWN = 100_000


class Whole(Screen[None]):
    """One entry: what is known of it, and its body."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,q,enter", "app.pop_screen", "Back")]

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text

    def compose(self) -> ComposeResult:
        with VerticalScroll():
            yield Static(self.text, markup=False)
        yield Footer()


class Explorer(App[None]):
    """↑↓ move, enter shows, d deletes, q quits."""

    TITLE = "sluicegate cache"
    ENABLE_COMMAND_PALETTE = False
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "show", "Show", priority=False),
        Binding("d", "delete", "Delete"),
        Binding("r", "reload", "Reload"),
        Binding("q", "quit", "Quit"),
    ]

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self.settings = settings
        self.entries: dict[str, EntrySummary] = {}
        self._store: CacheStore | None = None

    @property
    def store(self) -> CacheStore:
        if self._store is None:
            own = self.settings.cache
            place = cache_location(self.settings.store, self.settings.state_dir)
            self._store = open_cache(place, Limits(own.max_entries, own.max_bytes))
        return self._store

    def compose(self) -> ComposeResult:
        yield DataTable[str](cursor_type="row", zebra_stripes=True)
        yield Footer()

    @property
    def table(self) -> DataTable[Any]:
        return self.query_one(DataTable)

    async def on_mount(self) -> None:
        self.table.add_columns(*HEADINGS)
        await self.action_reload()

    async def on_unmount(self) -> None:
        if self._store:
            await self._store.close()

    async def action_reload(self) -> None:
        try:
            found = await self.store.listing(limit=_MAX_LISTED)
        except StoreError as e:
            self.exit(message=f"sluicegate: {e}", return_code=2)
            return
        self.entries = {entry.key: entry for entry in found}
        self.table.clear()
        for entry in found:
            self.table.add_row(*line_of(entry), key=entry.key)

    def _chosen(self) -> EntrySummary | None:
        if not self.table.row_count:
            return None
        key = self.table.coordinate_to_cell_key(self.table.cursor_coordinate).row_key.value
        return self.entries.get(key or "")

    async def on_data_table_row_selected(self) -> None:
        await self.action_show()

    async def action_show(self) -> None:
        if not (one := self._chosen()):
            return
        own = self.settings.cache
        try:
            found = await self.store.get(one.key)
            encryption = BodyEncryption(own.encrypt_key.resolve(os.environ) if own.encrypt_key else None)
        except (StoreError, SecretError) as e:
            self.notify(str(e), severity="error", markup=False)
            return
        entry = encryption.decrypt(found) if found else None
        body = printable(entry.body[:_MAX_SHOWN]) if entry else "(gone, or encrypted with another key)"
        await self.push_screen(Whole(f"{described(one)}\n{body}"))

    async def action_delete(self) -> None:
        if one := self._chosen():
            try:
                await self.store.delete(one.key)
            except StoreError as e:
                self.notify(str(e), severity="error", markup=False)
                return
            if isinstance(self.screen, Whole):
                self.pop_screen()
            self.entries.pop(one.key, None)
            self.table.remove_row(one.key)
