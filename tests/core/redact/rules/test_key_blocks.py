"""core/redact/rules/key_blocks.py: secrets of many lines."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kits.labelled import finder_of, secret

FINDER = finder_of("basic")
PEM = secret("private_key", Random(5))
VAULT = secret("ansible_vault", Random(5))


def found(text: str) -> list[tuple[str, str]]:
    return [(f.rule, text[f.start : f.end]) for f in FINDER.find(text)]


def gutters(text: str, form: str) -> str:
    return "\n".join(form.format(n) + line for n, line in enumerate(text.split("\n"), 9))


@pytest.mark.parametrize("form", ["{:6}→", "{:5}\t", "{}: ", "{} | ", "+", "> ", "    ", "# ", " * "])
@pytest.mark.parametrize(("rule", "block"), [("private_key", PEM), ("ansible_vault", VAULT)])
def test_a_block_with_line_numbers_or_indents_is_one_finding(rule: str, block: str, form: str) -> None:
    """As Read, grep, a diff or a comment show it: from the first to the last line, in one piece."""
    shown = gutters(block, form)
    first, last = block.split("\n")[0], block.split("\n")[-1]
    [(by, value)] = found(f"cat key\n{shown}\nend of the file")
    assert by == rule
    assert value.startswith(first)
    assert value.endswith(last)


@pytest.mark.parametrize("between", ["\n", "\r\n", "\\n", "\\r\\n", " ", '\\n" +\n    "', "',\n'"])
def test_a_key_is_one_finding_however_its_lines_are_joined(between: str) -> None:
    """In a file, escaped in JSON, on one line of an .env file, as string literals in code."""
    text = PEM.replace("\n", between)
    assert found(f"KEY='{text}' # end") == [("private_key", text)]


@given(st.integers(40, len(PEM)))
def test_a_key_that_was_cut_short_is_found_to_its_last_character(length: int) -> None:
    """END is optional: wherever a tool cut its output, nothing of the body is left."""
    cut = PEM[:length]
    [(rule, value)] = found(cut)
    assert rule == "private_key"
    assert len(cut) - len(value.rstrip("\n")) <= 6 or cut.rstrip("\n-").startswith(value) or value == cut


def test_a_bare_begin_line_counts() -> None:
    """It is found, and the words after it are left."""
    text = 'if line == "-----BEGIN RSA PRIVATE KEY-----":\n    handle_the_private_key_of_somebody()\n'
    assert found(text) == [("private_key", "-----BEGIN RSA PRIVATE KEY-----")]


def test_lines_left_out_in_the_middle_do_not_end_a_block() -> None:
    """Where a body and an END follow, all up to END is hidden, whatever was put in between."""
    lines = PEM.split("\n")
    text = "\n".join([*lines[:3], "... [4 lines truncated] ...", *lines[5:]])
    assert found(text) == [("private_key", text)]


def test_two_keys_are_two_findings() -> None:
    """A cut key does not reach into the next one."""
    cut = PEM[:150]
    assert [value for _, value in found(f"{cut}\n\n{PEM}\n")] == [cut, PEM]


def test_headers_within_a_key_belong_to_it() -> None:
    """An encrypted key cut before its END: its headers are no end of it."""
    lines = PEM.split("\n")
    text = "\n".join([lines[0], "Proc-Type: 4,ENCRYPTED", "DEK-Info: AES-128-CBC,0123456789ABCDEF", "", *lines[1:4]])
    assert found(text) == [("private_key", text)]
