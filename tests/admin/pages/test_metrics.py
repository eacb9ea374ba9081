"""admin/pages/metrics.py: the counters in Prometheus' text format."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from sluicegate.admin.pages.metrics import exposition
from sluicegate.core.messages.usage import Usage
from sluicegate.services.services import Services


def samples(services: Services) -> dict[tuple[str, ...], float]:
    """What Prometheus reads: (name, label values by their names…) → value."""
    families = text_string_to_metric_families(exposition(services).decode())
    return {(s.name, *(v for _, v in sorted(s.labels.items()))): s.value for f in families for s in f.samples}


def test_what_is_counted_is_shown() -> None:
    """Outcomes, tokens and dollars by model, what the caches, the limits and the scrubber did, and alarms."""
    services = Services({})
    usage = Usage(input_tokens=10, output_tokens=5, known=True)
    for outcome in ("ok", "ok", "refused"):
        services.stats.add(outcome=outcome, status=200, model="m", usage=usage, cost_usd=0.25, bytes_in=100, bytes_out=10)
    services.stats.add_cached("HIT", 15, 0.5)
    services.stats.limited["limits.default.rpm"] += 2
    services.stats.add_scrub({"found": {"jwt": 3}, "withheld": {}, "restored": 1, "unknown": 0})
    services.alarm("key.spent", key="a")
    found = samples(services)
    assert found["sluicegate_exchanges_total", "ok"] == 2
    assert found["sluicegate_tokens_total", "input", "m"] == 30
    assert found["sluicegate_cost_usd_total", "m"] == 0.75
    assert found["sluicegate_bytes_total", "in"] == 300
    assert found["sluicegate_cache_lookups_total", "HIT"] == 1
    assert found["sluicegate_saved_usd_total",] == 0.5
    assert found["sluicegate_limited_total", "limits.default.rpm"] == 2
    assert found["sluicegate_hidden_values_total", "jwt"] == 3
    assert found["sluicegate_alarms_total", "key.spent"] == 1
    assert found["sluicegate_draining",] == 0


def test_names_from_outside_can_not_forge_lines() -> None:
    """Model names come from requests: whatever they hold stays inside its label."""
    services = Services({})
    name = 'x"} 1\nsluicegate_alarms_total{kind="forged"} 9\\'
    services.stats.add(outcome="ok", status=200, model=name, usage=None, cost_usd=None, bytes_in=0, bytes_out=0)
    services.stats.cost_by_model[name] = 1.0
    found = samples(services)
    assert found["sluicegate_cost_usd_total", name] == 1
    assert ("sluicegate_alarms_total", "forged") not in found
