"""Browses the cache in a terminal: a list of entries, and one entry in full. Needs textual (extra `tui`)."""

from __future__ import annotations

from typing import Any, ClassVar

from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import ModalScreen, Screen
from textual.widgets import DataTable, Footer, Static

from sluicegate.cli.cache_entries import HEADINGS, description_of, encryption_of, open_store, row_of
from sluicegate.cli.table import printable
from sluicegate.core.errors import StoreError
from sluicegate.settings import Settings
from sluicegate.settings.secret import SecretError
from sluicegate.stores.cache.base import CacheStore, EntrySummary

__all__ = ["Explorer"]

_MAX_LISTED = 1000
_MAX_SHOWN = 100_000


class EntryScreen(Screen[None]):
    """One entry: its fields and its body."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,q,enter", "app.pop_screen", "Back")]

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text

    def compose(self) -> ComposeResult:
        with VerticalScroll():
            yield Static(self.text, markup=False)
        yield Footer()


class DeleteScreen(ModalScreen[bool]):
    """A question, answered with y or n."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "dismiss(True)", "Delete"),
        Binding("n,escape,q,d", "dismiss(False)", "Keep"),
    ]

    def __init__(self, question: str) -> None:
        super().__init__()
        self.question = question

    def compose(self) -> ComposeResult:
        yield Static(self.question, markup=False)
        yield Footer()


class Explorer(App[None]):
    """↑ and ↓ move, enter shows, d deletes, r reloads, q quits."""

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
            self._store = open_store(self.settings)
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
            self.table.add_row(*row_of(entry), key=entry.key)

    def _selected(self) -> EntrySummary | None:
        if not self.table.row_count:
            return None
        key = self.table.coordinate_to_cell_key(self.table.cursor_coordinate).row_key.value
        return self.entries.get(key or "")

    async def on_data_table_row_selected(self) -> None:
        await self.action_show()

    async def action_show(self) -> None:
        if not (selected := self._selected()):
            return
        try:
            found = await self.store.get(selected.key)
            encryption = encryption_of(self.settings)
        except (StoreError, SecretError) as e:
            self.notify(str(e), severity="error", markup=False)
            return
        entry = encryption.decrypt(found) if found else None
        body = printable(entry.body[:_MAX_SHOWN]) if entry else "(deleted, or encrypted with another key)"
        await self.push_screen(EntryScreen(f"{description_of(selected)}\n{body}"))

    async def action_delete(self) -> None:
        selected = self._selected()
        if selected is None or isinstance(self.screen, DeleteScreen):
            return

        async def answered(delete: bool | None) -> None:
            if delete:
                await self._delete(selected)

        await self.push_screen(DeleteScreen(f"Delete {selected.key[:12]} ({selected.head.model})? y/n"), answered)

    async def _delete(self, selected: EntrySummary) -> None:
        if selected.key in self.entries:
            try:
                await self.store.delete(selected.key)
            except StoreError as e:
                self.notify(str(e), severity="error", markup=False)
                return
            if isinstance(self.screen, EntryScreen):
                self.pop_screen()
            self.entries.pop(selected.key, None)
            self.table.remove_row(selected.key)
