"""`sluicegate scrub`: what the scrubber would hide in a file, and why. Sends nothing."""

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
from sluicegate.core.redact.walk.body_shapes import BATCHES, BODY, FREE, Shape
from sluicegate.core.redact.walk.json_document import JsonDocument, Unreadable
from sluicegate.core.redact.walk.json_walk import KeyCollision
from sluicegate.settings import ConfigError, load
from sluicegate.settings.scrub import Scrub

__all__ = ["finder_of", "scrub"]


def scrub(
    file: Annotated[Path | None, typer.Argument(help="Text, or a request body as JSON. Default, or -: stdin.")] = None,
    config: Annotated[
        Path | None, typer.Option("--config", "-c", help="Configuration file with rules, patterns and style.")
    ] = None,
    rules: Annotated[
        str | None, typer.Option(help="Rule sets instead of the configured ones, e.g. basic,gitleaks,pii.")
    ] = None,
    explain: Annotated[bool, typer.Option("--explain", help="List the findings with their reasons, not the text.")] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Print no text; exit with 1 if anything was found, else 0.")
    ] = False,
) -> None:
    """Print a text or a request body with its secrets replaced by placeholders."""
    given = _settings(config, rules)
    finder = finder_of(given)
    subject = _Subject.read(_bytes(file))
    grammar = GRAMMARS[given.style]
    scan = DocumentScan(subject.root, subject.shape, finder, KnownValueScanner(grammar))
    if explain:
        _print_table(list(explain_scan(scan, finder)))
    elif not check:
        factory = PlaceholderFactory(os.urandom(32), b"", grammar, numbered=given.numbering == "ranked")
        try:
            scan.hide(factory, _numbers(scan.keys_to_number(factory)))
        except KeyCollision as e:
            fail(f"cannot hide the secrets in this text: {e}", 1)
        sys.stdout.buffer.write(subject.rendered(scan.root))
        sys.stdout.buffer.flush()
    if not explain:
        typer.echo(_summary(scan), err=True)
    if check and not scan.empty:
        raise typer.Exit(1)


@dataclass(frozen=True, slots=True)
class _Subject:
    """The input: a JSON document, or plain text."""

    root: Any
    shape: Shape
    document: JsonDocument | None

    @classmethod
    def read(cls, data: bytes) -> _Subject:
        try:
            document = JsonDocument.read(data)
        except Unreadable:
            return cls(data.decode("utf-8", "surrogateescape"), FREE, None)
        root = document.root
        if not isinstance(root, dict | list):
            return cls(data.decode("utf-8", "surrogateescape"), FREE, None)
        keys = root if isinstance(root, dict) else {}
        shape = BODY if "messages" in keys else BATCHES if "requests" in keys else FREE
        return cls(root, shape, document)

    def rendered(self, root: Any) -> bytes:
        if self.document is None:
            return str(root).encode("utf-8", "surrogateescape")
        self.document.root = root
        return self.document.render()


def _settings(config: Path | None, rules: str | None) -> Scrub:
    """The section `scrub`, with the rule sets of --rules if given."""
    from msgspec.structs import replace

    try:
        given = load(config, os.environ).scrub
    except ConfigError as e:
        fail(e.report())
    if rules is not None:
        given = replace(given, rules=tuple(r.strip() for r in rules.split(",") if r.strip()))
    return given


def finder_of(given: Scrub) -> RuleFinder:
    """The finder that these settings describe; an error in them ends the command."""
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
        fail(f"cannot read {e.filename}: {e.strerror}")


def _bytes(file: Path | None) -> bytes:
    if file is None or str(file) == "-":
        return sys.stdin.buffer.read()
    try:
        return file.read_bytes()
    except OSError as e:
        fail(f"cannot read {file}: {e.strerror}")


def _numbers(keys: list[ValueKey]) -> dict[ValueKey, int]:
    """Numbers per type in order of appearance, as in a new conversation."""
    counts: Counter[str] = Counter()
    numbers: dict[ValueKey, int] = {}
    for kind, digest in keys:
        counts[kind] += 1
        numbers[kind, digest] = counts[kind]
    return numbers


def _summary(scan: DocumentScan) -> str:
    found = ", ".join(f"{rule} {count}" for rule, count in sorted(scan.found.items()))
    if not found:
        return "sluicegate: nothing found" if scan.empty else "sluicegate: found only text that looks like a placeholder"
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
