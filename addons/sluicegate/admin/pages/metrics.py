"""`/metrics`: the counters of this run in Prometheus' text format. Names end in their unit; counters in `_total`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from mitmproxy import http

from sluicegate import __version__
from sluicegate.admin.ports import AdminPolicy
from sluicegate.admin.responses import Answer
from sluicegate.exchange.exchange import Exchange
from sluicegate.services.services import Services

if TYPE_CHECKING:
    from prometheus_client.core import Metric

__all__ = ["MetricsPage", "exposition"]

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

_KINDS: Final = {
    "input_tokens": "input",
    "output_tokens": "output",
    "cache_read_tokens": "cache_read",
    "cache_write_5m_tokens": "cache_write_5m",
    "cache_write_1h_tokens": "cache_write_1h",
}


class MetricsPage:
    def __init__(self, services: Services) -> None:
        self._services = services

    def __call__(self, x: Exchange, policy: AdminPolicy) -> Answer:
        headers = {"content-type": CONTENT_TYPE, "cache-control": "no-store"}
        return http.Response.make(200, exposition(self._services), headers), None


class _Run:
    """A registry in prometheus_client's terms: an object to collect metrics from."""

    def __init__(self, services: Services) -> None:
        self.services = services

    def collect(self) -> Iterator[Metric]:
        services, stats = self.services, self.services.stats
        yield _gauge("info", "Version of the gate.", [((__version__,), 1)], ["version"])
        yield _gauge("start_time_seconds", "Start time of the gate, in Unix seconds.", [((), stats.started_at)])
        yield _gauge("active_exchanges", "Exchanges in progress.", [((), stats.active)])
        yield _gauge(
            "following_exchanges",
            "Exchanges that share the upstream call of an identical request.",
            [((), stats.followers())],
        )
        yield _gauge("queued_exchanges", "Exchanges waiting in the retry queue.", [((), services.queued)])
        yield _gauge(
            "draining",
            "1 during shutdown, while running exchanges finish and new ones are rejected.",
            [((), int(services.draining))],
        )
        yield _counter("exchanges", "Exchanges by outcome.", stats.outcomes, "outcome")
        yield _counter("answers", "Responses by HTTP status.", stats.statuses, "status")
        yield _counter(
            "bytes",
            "Body bytes by direction: in from clients, out to clients.",
            {"in": stats.bytes_in, "out": stats.bytes_out},
            "direction",
        )
        yield from self._usage()
        yield _counter("cache_lookups", "Cache lookups by result.", stats.labels, "label")
        yield _plain("saved_tokens", "Tokens of responses served from the cache.", stats.saved_tokens)
        yield _plain("saved_usd", "Cost avoided by responses served from the cache, in US dollars.", stats.saved_usd)
        yield _plain(
            "prompt_cache_falls",
            "Requests whose prompt the provider's cache no longer held.",
            stats.prompt_cache_miss_count,
        )
        yield _plain(
            "prompt_cache_lost_tokens",
            "Tokens not read from the provider's cache because of such misses.",
            stats.lost_tokens,
        )
        yield _plain("prompt_cache_lost_usd", "Cost of such misses, in US dollars.", stats.lost_usd)
        yield _counter("limited", "Rejected requests by limit.", stats.limited, "limit")
        yield _counter("hidden_values", "Values hidden by the scrubber, by rule.", stats.scrub["found"], "rule")
        yield _counter("restored_values", "Placeholders in responses, by result.", stats.scrub["names"], "result")
        yield _counter("alarms", "Conditions that need an operator's attention, by kind.", services.alarms, "kind")

    def _usage(self) -> Iterator[Metric]:
        stats = self.services.stats
        models = stats.models.items()
        tokens = [((model, kind), row[name]) for model, row in models for name, kind in _KINDS.items() if row[name]]
        yield _counter_of("tokens", "Tokens by model, as counted by the provider.", tokens, ["model", "kind"])
        costs = [((model,), cost) for model, cost in stats.cost_by_model.items()]
        yield _counter_of("cost_usd", "Cost in US dollars by model.", costs, ["model"])
        yield _plain("unpriced_exchanges", "Exchanges of models without a known price.", stats.unpriced)
        yield _plain("estimated_exchanges", "Exchanges whose usage or cost is estimated.", stats.estimated)
        yield _plain("repeated_exchanges", "Exchanges of clients that repeat a request in a loop.", stats.repeated)


def exposition(services: Services) -> bytes:
    """The counters of this run, in the text format."""
    from prometheus_client.exposition import generate_latest  # loaded when first needed

    registry: Any = _Run(services)
    return generate_latest(registry)


def _counter_of(name: str, says: str, samples: Iterable[tuple[tuple[str, ...], float]], labels: list[str]) -> Metric:
    from prometheus_client.core import CounterMetricFamily

    family = CounterMetricFamily(f"sluicegate_{name}", says, labels=labels)
    for values, sample in samples:
        family.add_metric(list(values), sample)
    return family


def _counter(name: str, says: str, counts: Mapping[str, float], label: str) -> Metric:
    return _counter_of(name, says, [((key,), n) for key, n in counts.items()], [label])


def _plain(name: str, says: str, value: float) -> Metric:
    return _counter_of(name, says, [((), value)], [])


def _gauge(
    name: str, says: str, samples: Iterable[tuple[tuple[str, ...], float]], labels: list[str] | None = None
) -> Metric:
    from prometheus_client.core import GaugeMetricFamily

    family = GaugeMetricFamily(f"sluicegate_{name}", says, labels=labels or [])
    for values, sample in samples:
        family.add_metric(list(values), sample)
    return family
