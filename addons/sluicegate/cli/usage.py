"""`sluicegate usage`: tokens and cost of a saved response."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sluicegate.cli.places import ConfigOption, fail, read_settings
from sluicegate.cli.price import KindOption, prices_of
from sluicegate.cli.table import rows
from sluicegate.core.messages.usage import ResponseFacts, ResponseReader
from sluicegate.core.pricing.prices import Cost
from sluicegate.settings.provider_kinds import kind_named

__all__ = ["read_answer", "usage"]

_MAGIC = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}


def usage(
    file: Annotated[Path, typer.Argument(help="Response of the Messages API: JSON or server-sent events.")],
    model: Annotated[str | None, typer.Option(help="Model to price it for. Default: the model in the response.")] = None,
    kind: KindOption = "anthropic",
    config: ConfigOption = None,
) -> None:
    """Show the token usage and cost of a saved response."""
    try:
        facts = read_answer(file.read_bytes())
    except OSError as e:
        fail(f"{file}: {e.strerror}")
    found = facts.usage
    if facts.counted is not None:
        typer.echo(f"input tokens counted  {facts.counted}")
        return
    if not found.known:
        why = facts.error_message or facts.error_type or facts.note or "not a response of the Messages API"
        fail(f"no usage in {file}: {why}", 1)
    served = model or facts.model or ""
    cost = prices_of(read_settings(config)).cost(found, served, kind_named(kind).price_source)
    table = [
        ("model", served or "?"),
        ("stop reason", facts.stop_reason or ("(none: incomplete)" if not facts.complete else "(none)")),
        ("input tokens", str(found.input_tokens)),
        ("output tokens", str(found.output_tokens)),
        ("cache read tokens", str(found.cache_read_tokens)),
        ("cache write tokens, 5m", str(found.cache_write_5m_tokens)),
        ("cache write tokens, 1h", str(found.cache_write_1h_tokens)),
        *([("web searches", str(found.web_search_requests))] if found.web_search_requests else []),
        *([("other inferences", str(len(found.iterations)))] if found.iterations else []),
        ("cost", _cost(cost)),
    ]
    typer.echo(rows(table))


def _cost(cost: Cost | None) -> str:
    if cost is None:
        return "unknown: no price for this model"
    return f"${cost.usd:.6f}" + (
        " (estimated: the response has only the sum of several inferences)" if cost.estimated else ""
    )


def read_answer(body: bytes) -> ResponseFacts:
    """The facts of a saved response; a compressed one is recognised by its first bytes."""
    encoding = next((name for magic, name in _MAGIC.items() if body.startswith(magic)), "")
    facts = _read(body, "application/json", encoding)
    return facts if facts.complete else _read(body, "text/event-stream", encoding)


def _read(body: bytes, kind: str, encoding: str) -> ResponseFacts:
    reader = ResponseReader(kind, encoding)
    reader.feed(body)
    reader.end()
    return reader.facts
