"""settings/content.py and checks.py: the scrubber's own patterns and kinds of identifiers."""

from pathlib import Path

import pytest

from sluicegate.settings import ConfigError, load


def read(tmp_path: Path, text: str) -> object:
    file = tmp_path / "gate.yaml"
    file.write_text(text)
    return load(file, {})


def test_own_patterns_and_social_security_numbers_can_be_asked_for(tmp_path: Path) -> None:
    """`patterns` maps names to regular expressions; `ssn` is a kind of identifier."""
    settings = read(tmp_path, "scrub:\n  pii: [email, ssn]\n  patterns:\n    TICKET: 'TCK-[0-9]{6}'\n")
    assert settings.scrub.pii == ("email", "ssn")  # type: ignore[attr-defined]
    assert settings.scrub.patterns == {"TICKET": "TCK-[0-9]{6}"}  # type: ignore[attr-defined]


def test_hosts_that_tools_may_send_to(tmp_path: Path) -> None:
    """Names, and `*.` for those below one; an address or a port is refused."""
    settings = read(tmp_path, 'scrub: {restore: {allow_hosts: [api.example.com, "*.corp.example"]}}\n')
    assert settings.scrub.restore.allow_hosts == ("api.example.com", "*.corp.example")  # type: ignore[attr-defined]
    for wrong in ("https://a.example", "a.example:443", "*", "a.*.example"):
        with pytest.raises(ConfigError, match=r"allow_hosts\[0\]"):
            read(tmp_path, f'scrub: {{restore: {{allow_hosts: ["{wrong}"]}}}}\n')


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("(", "not a regular expression in RE2 syntax: missing ): ("),
        ("(?=x)", "not a regular expression in RE2 syntax: invalid perl operator: (?="),
        ("x*", "matches the empty string; require at least one character"),
        ("((a{900}){900}){900}", "not a regular expression in RE2 syntax: "),
    ],
)
def test_a_pattern_that_cannot_be_used_is_refused_with_its_line(tmp_path: Path, pattern: str, message: str) -> None:
    """With file, line and path, when the configuration is read, not when a request comes."""
    with pytest.raises(ConfigError) as refused:
        read(tmp_path, f"scrub:\n  patterns:\n    TICKET: '{pattern}'\n")
    assert f"gate.yaml:3: scrub.patterns.TICKET: {message}" in str(refused.value)
