"""core/redact/scan/escaped_text.py: secrets that are written with escapes are found, and where they stand."""

from __future__ import annotations

import base64
from collections.abc import Callable
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kits.labelled import KINDS, finder_of, secret
from sluicegate.core.redact.scan.escaped_text import unescaped_views

SPECIAL = "-_:/@.+="


def _each(written: Callable[[str], str], which: str = SPECIAL) -> Callable[[str], str]:
    return lambda value: "".join(written(c) if c in which else c for c in value)


SPELLINGS: dict[str, Callable[[str], str]] = {
    r"\/": _each(lambda c: "\\/", "/"),
    r"\\\/": _each(lambda c: "\\\\\\/", "/"),
    r"\u002d": _each(lambda c: f"\\u{ord(c):04x}"),
    r"\\u002D": _each(lambda c: f"\\\\u{ord(c):04X}"),
    "all as \\u": lambda value: "".join(f"\\u{ord(c):04x}" for c in value),
    "%2D": _each(lambda c: f"%{ord(c):02X}"),
    "%252d": _each(lambda c: f"%25{ord(c):02x}"),
    "all as %": lambda value: "".join(f"%{ord(c):02x}" for c in value),
    "&#45;": _each(lambda c: f"&#{ord(c)};"),
    "&#x2d;": _each(lambda c: f"&#x{ord(c):02x};"),
    **{
        f"U+{ord(c):04X}": (lambda value, c=c: value[:3] + c + value[3:9] + c + value[9:])
        for c in "\u200b\u200d\u2060\ufeff\xad"
    },
}
NOT_WRITTEN_SO = ("private_key", "ansible_vault", "bearer_token", "basic_auth")
"""Blocks of lines, and what is known by the word before it."""
FINDER = finder_of("basic")


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("kind", [k for k in KINDS if k not in NOT_WRITTEN_SO])
def test_found_however_it_is_escaped(kind: str, spelling: str) -> None:
    """Nothing of the value is left, and the text around it is unchanged."""
    random = Random(f"{kind} {spelling}")
    for around in ("{}", "see {} there", 'a: "{}"', f"{'long ' * 2000}{{}}{' text' * 2000}"):
        value = secret(kind, random)
        written = SPELLINGS[spelling](value)
        text = around.format(written)
        left = text
        for f in reversed(FINDER.find(text)):
            left = left[: f.start] + "#" + left[f.end :]
        first, _, last = around.partition("{}")
        assert left.startswith(first)
        assert left.endswith(last)
        rest = left[len(first) : len(left) - len(last)]
        assert len(rest) <= 3, (written, rest)


pieces = st.one_of(
    st.text(alphabet="ab/%u0025d;&# é→", max_size=12),
    st.sampled_from(["%41", "\\u0062", "\\\\u0063", "\\/", "&#100;", "&quot;", "\u200b", "%2541", "x" * 300]),
)


@given(st.lists(pieces, max_size=40).map("".join))
def test_a_view_knows_where_it_comes_from(text: str) -> None:
    """Windows are disjoint and in order; bytes outside escapes are the same at the reported position."""
    data = text.encode()
    done = 0
    for view in unescaped_views(data):
        assert done <= view.low < view.high <= len(data)
        done = view.high
        for at in range(len(view.plain)):
            span = view.original(at, at + 1)
            if span is None:
                continue
            start, end = span
            assert view.low <= start < end <= view.high
            if end - start == 1:
                assert data[start:end] == view.plain[at : at + 1]
        if view.plain and not any(view.cut):
            assert (whole := view.original(0, len(view.plain))) is not None
            assert whole[1] - whole[0] <= view.high - view.low


def test_a_text_full_of_escapes_is_read_in_part() -> None:
    """What is read twice is at most an eighth of a large text."""
    for unit in ("%41", "a%41" + "b" * 390, "\u200b", "&#64;b.co a"):
        data = (unit * 100_000)[:400_000].encode()
        assert 0 < sum(view.high - view.low for view in unescaped_views(data)) <= len(data) // 8 + 400


def test_what_is_no_secret_stays_none() -> None:
    """Escapes alone make no findings: formats, URLs, markup, base64 in JSON."""
    for text in ('"%20s|%-30d" % x', "https://h/a%20b%2Fc?d=%7B%22a%22%3A1%7D", "<p>a &amp; b &lt;c&gt;</p>", "C:\\/x\\/y",
                 base64.b64encode(bytes(range(256))).decode().replace("/", "\\/")):  # fmt: skip
        assert finder_of("basic", "gitleaks").find(text) == ()
