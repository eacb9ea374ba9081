"""The anthropic-ratelimit-* headers: counted per credential and minute, reported, never enforced."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

WINDOW_S = 60
LIMITS = {"requests": 4_000, "tokens": 4_800_000, "input-tokens": 4_000_000, "output-tokens": 800_000}
MAX_CREDENTIALS = 10_000


@dataclass(slots=True)
class _Window:
    number: int
    reset: str
    requests: int = 0
    input_tokens: int = 0
    output_tokens: int = 0


class RateLimits:
    """`clock` gives seconds since the epoch."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._windows: dict[str, _Window] = {}

    def count(self, credential: str, input_tokens: int, output_tokens: int) -> None:
        window = self._window(credential)
        window.requests += 1
        window.input_tokens += input_tokens
        window.output_tokens += output_tokens

    def headers(self, credential: str) -> list[tuple[str, str]]:
        window = self._window(credential)
        used = {
            "requests": window.requests,
            "tokens": window.input_tokens + window.output_tokens,
            "input-tokens": window.input_tokens,
            "output-tokens": window.output_tokens,
        }
        headers: list[tuple[str, str]] = []
        for name, limit in LIMITS.items():
            prefix = f"anthropic-ratelimit-{name}"
            headers.append((f"{prefix}-limit", str(limit)))
            headers.append((f"{prefix}-remaining", str(max(limit - used[name], 0))))
            headers.append((f"{prefix}-reset", window.reset))
        return headers

    def _window(self, credential: str) -> _Window:
        number = int(self._clock() // WINDOW_S)
        window = self._windows.get(credential)
        if window is None or window.number != number:
            reset = datetime.fromtimestamp((number + 1) * WINDOW_S, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            if len(self._windows) >= MAX_CREDENTIALS:
                self._windows.clear()
            window = self._windows[credential] = _Window(number, reset)
        return window
