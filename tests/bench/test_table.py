"""The bench's table and its parts that need no process."""

from bench.table import Sample, render
from bench.usage import parse_time
from bench.workloads import WORKLOADS
from sluicegate.simulator.validation import check, decode


def sample(number: int, proxy: str, cpu_ms: float | None, **changed: object) -> Sample:
    fields = {"workload": "4 KB JSON", "requests_per_s": 100.0, "first_byte_ms": 2.0, "rss_mb": 90.0}
    return Sample(round=number, proxy=proxy, cpu_ms=cpu_ms, **(fields | changed))  # type: ignore[arg-type]


def test_each_row_has_the_median_the_range_and_the_ratio_to_the_baseline() -> None:
    """The ratio is the median of the rounds' own ratios: a slow round slows both, and does not count."""
    cpu = {"bare": (1.0, 8.0, 2.0), "gate": (0.5, 4.0, 1.5)}
    samples = [sample(n, proxy, ms) for proxy, row in cpu.items() for n, ms in enumerate(row)]
    lines = render(samples, "bare").splitlines()
    assert lines[2] == "4 KB JSON"
    assert lines[3].split() == [
        "bare",
        "100",
        "(100-100)",
        "2.00",
        "(1.00-8.00)",
        "1.00",
        "2.00",
        "(2.00-2.00)",
        "1.00",
        "90",
    ]
    assert lines[4].split()[3:6] == ["1.50", "(0.50-4.00)", "0.50"]


def test_the_way_without_a_proxy_has_no_cpu_and_no_memory() -> None:
    """A dash, not a zero."""
    lines = render([sample(1, "none", None, rss_mb=None), sample(1, "bare", 1.0)], "bare").splitlines()
    assert lines[3].split() == ["none", "100", "(100-100)", "-", "-", "2.00", "(2.00-2.00)", "1.00", "-"]


def test_the_table_is_at_most_100_columns_wide() -> None:
    """Also with the widest numbers that a slow machine gives."""
    wide = {"requests_per_s": 9999.0, "first_byte_ms": 99.99}
    samples = [sample(n, "mitmdump -s gate", 99.99, workload=w.name, **wide) for w in WORKLOADS for n in (1, 2)]
    assert max(map(len, render(samples, "bare mitmdump").splitlines())) <= 100


def test_bodies_are_valid_requests_of_their_size() -> None:
    """The simulator refuses none of them."""
    for workload in WORKLOADS:
        body = workload.body()
        assert len(body) == workload.body_bytes
        check(decode(body))


def test_the_time_that_ps_prints() -> None:
    """In the forms of Linux and macOS."""
    assert [parse_time(text) for text in ("0:01.25", "00:01:05", "1-02:00:00")] == [1.25, 65.0, 93_600.0]
