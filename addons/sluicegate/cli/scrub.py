"""`sluicegate scrub`: what would be hidden in a file, and why. Nothing is sent anywhere."""

from __future__ import annotations

import os
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from sluicegate.cli.places import fail
from sluicegate.core.redact.hide.document_scan import DocumentScan
from sluicegate.core.redact.hide.explain import ExplainedSpan, explain_scan
from sluicegate.core.redact.hide.known_values import KnownValueScanner
from sluicegate.core.redact.hide.placeholder_factory import PlaceholderFactory, ValueKey
from sluicegate.core.redact.hide.placeholders import GRAMMARS
from sluicegate.core.redact.scan.finder import RuleFinder, RulesError, build_finder
from sluicegate.core.redact.walk.json_document import JsonDocument, Unreadable
from sluicegate.core.redact.walk.json_walk import KeyCollision, WalkSurface
from sluicegate.settings import ConfigError, load
from sluicegate.settings.scrub import Scrub

__all__ = ["finder_of", "scrub"]


def scrub(
    file: Annotated[Path | None, typer.Argument(help="A text, or a request body as JSON. Default, and -: stdin.")] = None,
    config: Annotated[
        Path | None, typer.Option("--config", "-c", help="Take rules, patterns and style from this configuration.")
    ] = None,
    rules: Annotated[str | None, typer.Option(help="Rule sets instead of the configured: basic,gitleaks,pii")] = None,
    explain: Annotated[bool, typer.Option("--explain", help="List what was found and why, instead of the text.")] = False,
    check: Annotated[bool, typer.Option("--check", help="No text: exit code 1 if anything was found, else 0.")] = False,
) -> None:
    """Show a text or a request body with placeholders where secrets were."""
    given = _settings(config, rules)
    finder = finder_of(given)
    subject = _Subject.read(_bytes(file))
    grammar = GRAMMARS[given.style]
    scan = DocumentScan(subject.root, subject.surface, finder, KnownValueScanner(grammar))
    if explain:
        _print_table(list(explain_scan(scan, finder)))
    elif not check:
        factory = PlaceholderFactory(os.urandom(32), b"", grammar, numbered=given.numbering == "ranked")
        try:
            scan.hide(factory, _numbers(scan.keys_to_number(factory)))
        except KeyCollision as e:
            fail(f"this can not be hidden: {e}", 1)
        sys.stdout.buffer.write(subject.rendered(scan.root))
        sys.stdout.buffer.flush()
    if not explain:
        typer.echo(_summary(scan), err=True)
    if check and not scan.empty:
        raise typer.Exit(1)


@dataclass(frozen=True, slots=True)
class _Subject:
    """What is looked at: a JSON document, or a text as it is."""

    root: Any
    surface: WalkSurface
    document: JsonDocument | None

    @classmethod
    def read(cls, data: bytes) -> _Subject:
        try:
            document = JsonDocument.read(data)
        except Unreadable:
            return cls(data.decode("utf-8", "surrogateescape"), "other", None)
        root = document.root
        if not isinstance(root, dict | list):
            return cls(data.decode("utf-8", "surrogateescape"), "other", None)
        keys = root if isinstance(root, dict) else {}
        surface: WalkSurface = "messages" if "messages" in keys else "batches" if "requests" in keys else "other"
        return cls(root, surface, document)

    def rendered(self, root: Any) -> bytes:
        if self.document is None:
            return str(root).encode("utf-8", "surrogateescape")
        self.document.root = root
        return self.document.render()


def _settings(config: Path | None, rules: str | None) -> Scrub:
    """The section `scrub`, with other rule sets if they were named."""
    from msgspec.structs import replace

    try:
        given = load(config, os.environ).scrub
    except ConfigError as e:
        fail(e.report())
    if rules is not None:
        given = replace(given, rules=tuple(r.strip() for r in rules.split(",") if r.strip()))
    return given


def finder_of(given: Scrub) -> RuleFinder:
    """What these settings look for; a fault in them ends the command."""
    try:
        return build_finder(
            rules=given.rules,
            salt=os.urandom(32),
            pii=given.pii,
            patterns=given.patterns,
            read=lambda path: Path(path).expanduser().read_bytes(),
        )
    except RulesError as e:
        fail(str(e))
    except OSError as e:
        fail(f"{e.filename} can not be read: {e.strerror}")


def _bytes(file: Path | None) -> bytes:
    if file is None or str(file) == "-":
        return sys.stdin.buffer.read()
    try:
        return file.read_bytes()
    except OSError as e:
        fail(f"{file} can not be read: {e.strerror}")


def _numbers(keys: list[ValueKey]) -> dict[ValueKey, int]:
    """Each type counted by itself, first seen first, as in a conversation that begins here."""
    counts: Counter[str] = Counter()
    numbers: dict[ValueKey, int] = {}
    for kind, digest in keys:
        counts[kind] += 1
        numbers[kind, digest] = counts[kind]
    return numbers


def _summary(scan: DocumentScan) -> str:
    found = ", ".join(f"{rule} {count}" for rule, count in sorted(scan.found.items()))
    if not found:
        return "sluicegate: nothing found" if scan.empty else "sluicegate: only what looks like a placeholder"
    return f"sluicegate: found {found}"


def _print_table(places: list[ExplainedSpan]) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False, markup=False)
    if not places:
        console.print("nothing found")
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("where", "rule, type (tier)", "value (length)", "why"):
        table.add_column(name, overflow="fold", no_wrap=name.startswith("value"))
    for p in places:
        table.add_row(p.where, f"{p.rule}\n{p.type} ({p.tier})", p.value, p.why)
    console.print(table)
