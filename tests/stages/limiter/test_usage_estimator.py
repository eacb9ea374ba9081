"""UsageEstimator: the estimate that is reserved, and the usage that is charged."""

from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from sluicegate.core.errors import Refused
from sluicegate.core.limits.counters import Counter
from sluicegate.core.limits.estimate import WORST_OUTPUT_TOKENS, Amounts
from sluicegate.core.messages.batches import BatchPart
from sluicegate.core.messages.usage import ResponseFacts, Usage
from sluicegate.exchange.call import Call
from sluicegate.exchange.exchange import Exchange
from sluicegate.exchange.release import Target
from sluicegate.services.services import Services
from sluicegate.settings.limits import Limits
from sluicegate.stages.limiter.reservations import Reservations
from sluicegate.stages.limiter.usage_estimator import UsageEstimator
from sluicegate.stores.limits import storage_from_url
from sluicegate.testing import make_exchange, make_flow, quiet

MODEL = "claude-haiku-4-5"  # $1 in, $5 out for a million tokens: 1,000 and 5,000 nano-USD for one
KEY = "id1"
TARGET = Target(True, "api.anthropic.com", 443, "anthropic")
RPM = Counter("k:rpm", "", "", "bucket", "requests", 9, 9)
CALLS = Counter("k:c", "", "", "concurrency", "concurrency", 9)
TOKENS = Counter("k:tokens", "", "", "budget", "tokens", 9, window="day")
USD = Counter("k:usd", "", "", "budget", "nano_usd", 9, window="day")
RESERVED = Amounts(1, 40, 100, 540_000)


class Rig:
    """An estimator with its services."""

    def __init__(self, **limits: Any) -> None:
        self.services = Services({})
        self.settings = quiet(store="memory", limits=msgspec.convert(limits, Limits))
        self.reservations = Reservations(storage_from_url("memory"), self.services.alarm)
        self.estimator = UsageEstimator(self.settings, self.services, self.reservations)

    def exchange(self, body: dict[str, Any] | None = None, surface: str = "messages", **fields: Any) -> Exchange:
        flow = make_flow(body={"model": MODEL, **(body or {})})
        return make_exchange(flow, settings=self.settings, services=self.services, surface=surface, **fields)

    def estimate(self, x: Exchange, *counters: Counter, model: str = MODEL) -> Amounts:
        return self.estimator.estimate(x, counters, KEY, model, "anthropic")

    def used(self, x: Exchange, *counters: Counter, reserved: Amounts = RESERVED) -> Amounts | None:
        return self.estimator.used(x, counters, KEY, reserved)


def size(x: Exchange) -> int:
    return len(x.request.data.content or b"")


def ended(x: Exchange, status: int | None = 200, facts: ResponseFacts | None = None) -> Exchange:
    """The exchange after its call."""
    x.routing.call = Call(TARGET, 0.0, status=status)
    if facts is not None:
        x.routing.call.reader = SimpleNamespace(facts=facts)  # type: ignore[assignment]
    x.routing.target = TARGET
    return x


def answered(read: int = 30, written: int = 20, *, complete: bool = True) -> ResponseFacts:
    return ResponseFacts(model=MODEL, usage=Usage(read, written, known=True), complete=complete)


# -- before the call
def test_requests_and_concurrency_need_no_estimate() -> None:
    """One each, whatever the body says, and so does a path that is not inference."""
    rig = Rig()
    assert rig.estimate(rig.exchange({"max_tokens": 9999}), RPM, CALLS) == Amounts()
    assert rig.estimate(rig.exchange(surface="count_tokens"), RPM, TOKENS, USD) == Amounts()


@pytest.mark.parametrize(("max_tokens", "output"), [(None, 1024), (0, 1024), (64, 64), (9000, 1024)])
def test_without_earlier_answers_the_output_is_the_configured_default(max_tokens: int | None, output: int) -> None:
    """max_tokens caps it."""
    rig = Rig()
    x = rig.exchange({} if max_tokens is None else {"max_tokens": max_tokens})
    estimate = rig.estimate(x, TOKENS)
    assert (estimate.requests, estimate.concurrency) == (1, 1)
    assert (estimate.input_tokens, estimate.output_tokens) == (-(-size(x) // 4), output)
    assert estimate.nano_usd == 0  # no counter of money: no price is looked up


def test_earlier_answers_of_the_key_and_model_replace_the_default() -> None:
    """Only complete ones: a truncated answer says nothing about the usual length."""
    rig = Rig()
    rig.used(ended(rig.exchange(), facts=answered(0, 7, complete=False)), TOKENS)
    assert rig.estimate(rig.exchange(), TOKENS).output_tokens == 1024
    rig.used(ended(rig.exchange(), facts=answered(0, 333)), TOKENS)
    assert rig.estimate(rig.exchange({"max_tokens": 9000}), TOKENS).output_tokens == 333
    assert rig.estimate(rig.exchange({"max_tokens": 9}), TOKENS).output_tokens == 9
    assert rig.estimate(rig.exchange(), TOKENS, model="claude-opus-4-1").output_tokens == 1024
    other = rig.estimator.estimate(rig.exchange(), (TOKENS,), "id2", MODEL, "anthropic")
    assert other.output_tokens == 1024


def test_the_estimate_in_money_is_that_of_its_tokens() -> None:
    """At the price of the model at its provider."""
    rig = Rig()
    x = rig.exchange({"max_tokens": 10})
    assert rig.estimate(x, USD).nano_usd == -(-size(x) // 4) * 1_000 + 10 * 5_000


def test_strict_mode_reserves_more_than_any_outcome_costs() -> None:
    """A token for each byte, all of max_tokens, the most expensive way to write the cache."""
    rig = Rig(strict=True)
    x = rig.exchange({"max_tokens": 50})
    estimate = rig.estimate(x, USD)
    assert estimate.input_tokens >= size(x)
    assert estimate.output_tokens == 50
    assert estimate.nano_usd >= size(x) * 2_000 + 50 * 5_000
    assert rig.estimate(rig.exchange(), TOKENS).output_tokens == WORST_OUTPUT_TOKENS


def test_a_model_without_a_price() -> None:
    """Free, with one alarm; refused in strict mode, where the budget could not hold."""
    rig, strict = Rig(), Rig(strict=True)
    for _ in range(2):
        assert rig.estimate(rig.exchange(), USD, model="nobody-knows-1").nano_usd == 0
    assert rig.services.alarms == {"limits.unpriced": 1}
    with pytest.raises(Refused, match=r"limits\.strict") as raised:
        strict.estimate(strict.exchange(), USD, model="nobody-knows-1")
    assert (raised.value.status, raised.value.should_retry) == (403, False)


def test_a_batch_is_the_sum_of_its_requests_at_half_the_price() -> None:
    """It is one request and no running call; a part without max_tokens counts as the default."""
    rig = Rig()
    parts = [BatchPart(MODEL, 100, b"x" * 40), BatchPart(MODEL, None, b"x" * 80)]
    estimate = rig.estimator.estimate_batch(rig.exchange(), parts, KEY, "anthropic")
    assert estimate == Amounts(0, 30, 1124, (30 * 1_000 + 1124 * 5_000) // 2, 0)
    assert rig.estimator.estimate_batch(rig.exchange(), [], KEY, "anthropic") == Amounts(0, 0, 0, 0, 0)


# -- after the call
def test_the_usage_is_what_the_provider_reports() -> None:
    """Less or more than the estimate."""
    rig = Rig()
    for read, written in ((3, 2), (3000, 2000)):
        x = ended(rig.exchange(), facts=answered(read, written))
        assert rig.used(x, TOKENS, USD) == Amounts(1, read, written, read * 1_000 + written * 5_000)


def test_a_call_that_breaks_off_is_charged_its_estimate() -> None:
    """Its reported input, and the output up to the reserved amount; all of the reservation if nothing was reported."""
    rig = Rig()
    x = ended(rig.exchange(), facts=answered(30, 20, complete=False))
    assert rig.used(x, TOKENS, USD) == Amounts(1, 30, 100, 30 * 1_000 + 100 * 5_000)
    x = ended(rig.exchange(), facts=answered(30, 120, complete=False))
    assert rig.used(x, TOKENS, USD) == Amounts(1, 30, 120, 30 * 1_000 + 120 * 5_000)
    assert rig.used(ended(rig.exchange(), facts=ResponseFacts()), TOKENS, USD) == RESERVED
    assert rig.used(ended(rig.exchange(), status=None), TOKENS, USD, reserved=RESERVED) is None  # it was never released


@pytest.mark.parametrize(
    ("facts", "status"), [(ResponseFacts(error_type="overloaded_error"), 200), (ResponseFacts(), 529), (None, 400)]
)
def test_a_providers_error_costs_a_request_only(facts: ResponseFacts | None, status: int) -> None:
    """As a status, or as an event in a stream."""
    rig = Rig()
    assert rig.used(ended(rig.exchange(), status, facts), RPM, TOKENS, USD) == Amounts()


@pytest.mark.parametrize("label", ["HIT", "HIT-NORM", "HIT-SUFFIX"])
def test_an_answer_from_the_cache_costs_a_request_only(label: str) -> None:
    """Its tokens were paid before."""
    rig = Rig()
    x = ended(rig.exchange(), facts=answered())
    x.cache_status = label
    assert rig.used(x, RPM, TOKENS, USD) == Amounts()


@pytest.mark.parametrize(
    ("outcome", "causes", "released", "is_free"),
    [
        ("refused", [], False, True),
        ("denied", [], True, True),
        ("internal", [], True, True),
        ("error", [], False, True),
        ("error", ["connect", "pool", "refused", "returned"], False, True),
        ("error", ["connect", "timeout"], False, False),
        ("error", ["connect"], True, False),
        ("client_abort", [], True, False),
    ],
)
def test_without_an_answer_only_what_reached_no_provider_is_free(
    outcome: Any, causes: list[str], released: bool, is_free: bool
) -> None:
    """A request that may have arrived is charged its estimate."""
    rig = Rig()
    x = ended(rig.exchange(), status=None)
    x.ending.outcome, x.routing.failed_attempts = outcome, [{"cause": cause} for cause in causes]
    x.routing.release = SimpleNamespace() if released else None  # type: ignore[assignment]
    assert rig.used(x, TOKENS, USD) == (None if is_free else RESERVED)


def test_without_a_call_nothing_was_used() -> None:
    """A stage further in refused it."""
    rig = Rig()
    assert rig.used(rig.exchange(), TOKENS, USD) is None


def test_usage_without_a_price_costs_what_was_reserved() -> None:
    """The model of the answer may be another than the requested one."""
    rig = Rig()
    facts = answered()
    facts.model = "nobody-knows-1"
    amounts = rig.used(ended(rig.exchange(), facts=facts), USD)
    assert amounts is not None
    assert amounts.nano_usd == RESERVED.nano_usd
