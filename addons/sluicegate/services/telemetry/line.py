"""The audit record as one human-readable line: `MISS claude-haiku-4-5 200 274tok $0.00104 3951ms`."""

from __future__ import annotations

from typing import Any

__all__ = ["format_line"]


def format_line(record: dict[str, Any]) -> bytes:
    """Cache status, model (or method and path), HTTP status, tokens, cost, duration, error."""
    label = record["cache"] or ("MISS" if record["outcome"] == "ok" else str(record["outcome"]).upper())
    what = record["model_served"] or record["model"] or f"{record['method']} {record['path']}"
    parts = [label, what, str(record["status"] or "-")]
    if record["input_tokens"] is not None:
        about = "~" if record.get("estimated") else ""
        parts.append(f"{about}{sum(v for k, v in record.items() if k.endswith('_tokens') and v)}tok")
        cost = record["cost_usd"]
        parts.append("$?" if cost is None else f"{about}${cost:.5f}")
    parts.append(f"{record['duration_ms']:.0f}ms")
    if record["error"]:
        parts.append(f"({record['error']})")
    line = " ".join(parts)
    return "".join(c if c.isprintable() else "?" for c in line).encode("utf-8", "replace") + b"\n"
