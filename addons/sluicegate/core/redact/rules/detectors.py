"""The sixteen basic detectors, in order of priority.

They check no entropy, allowlist or checksum, so examples from documentation are found, too. They hide the secret itself
(the token after `Bearer`, `user:password` of a web URL), but a connection string in full: its host and user reveal as much
as its password. Only patterns that ordinary words can match have a validator.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import Final

from sluicegate.core.redact.rules.key_blocks import ansible_block, key_block
from sluicegate.core.redact.rules.rule import (
    Hit,
    Rule,
    Span,
    Validator,
)

__all__ = ["BASIC"]

_LEFT: Final = r"(?:^|[^A-Za-z0-9]|\\[nrtbf]|\\u[0-9A-Fa-f]{4}|%[0-9A-Fa-f]{2})"
"""A value starts here: outside a word, or right after an escape such as `\\n` of JSON within a string, or `%20`."""
_RIGHT: Final = "(?:[^A-Za-z0-9]|$)"

_PATTERNS: Final[tuple[tuple[str, str], ...]] = (
    ("anthropic_key", r"(sk-ant-[A-Za-z0-9_-]{12,})"),
    ("openai_key", _LEFT + r"(sk-(?:(?:proj|svcacct|admin|None|or-v1)-[A-Za-z0-9_-]{16,}|[A-Za-z0-9]{20,}))"),
    (
        "aws_access_key",
        _LEFT + r"((?:AKIA|ASIA|ABIA|ACCA|AGPA|AIDA|AIPA|ANPA|ANVA|APKA|AROA|A3T[A-Z0-9])[A-Z0-9]{16})" + _RIGHT,
    ),
    ("github_token", r"(gh[pousr]_[A-Za-z0-9]{20,255}|github_pat_[A-Za-z0-9_]{20,255})"),
    ("google_api_key", r"(AIza[A-Za-z0-9_-]{35}|GOCSPX-[A-Za-z0-9_-]{28})"),
    (
        "stripe_key",
        _LEFT
        + r"((?:sk|rk|pk)_(?:live|prod)_[A-Za-z0-9]{10,}|(?:sk|rk|pk)_test_[A-Za-z0-9]{16,}|whsec_[A-Za-z0-9+/]{24,}=*)",
    ),
    ("private_key", r"(-----BEGIN[ A-Z0-9_-]{0,60}PRIVATE KEY(?: BLOCK)?-----)"),
    (
        "jwt",
        r"(eyJ[\w-]{8,}\.(?:eyJ[\w-]{5,}(?:\.[\w-]*)?|[\w-]{16,}\.[\w-]{16,}|[\w-]*\.[\w-]{10,}\.[\w-]{10,}\.[\w-]{10,}))",
    ),
    (
        "db_connection_string",
        r"(?i)((?:postgres(?:ql)?|mysql|mariadb|mongodb|rediss?|valkeys?|amqps?|mssql|sqlserver|oracle|clickhouse|cockroachdb|"
        r"snowflake|db2|cassandra|neo4j|bolt|nats)(?:\+[a-z0-9_]{1,20})?://[^\s:@/'\"<>\x60]{0,256}:[^\s'\"<>\x60]{1,512}@"
        r"[a-z0-9._:\[\]%,-]+(?:/[^\s'\"<>\x60\\,;)\]}|]*|\?[^\s'\"<>\x60\\,;)\]}|]*)?"
        r"|jdbc:[a-z0-9:]{2,40}(?://|@)[^\s'\"<>\x60]{1,512}[?;&:/](?:password|pwd)=[^\s'\"<>\x60&;,]+"
        r"|(?:server|data source|host|addr|network address|defaultendpointsprotocol)=[^\r\n'\"<>\x60]{1,512}?;\s{0,3}"
        r"(?:password|pwd|accountkey)=[^\s'\"<>\x60;,]+)",
    ),
    (
        "bearer_token",
        r"(?i)(?:authorization[\"'\\]{0,2}\s{0,3}[:=,]\s{0,3}[\"'\\]{0,2}\s{0,3}bearer\s{1,4}([\w.~+/-]{6,}=*)"
        r"|\bbearer(?:\s{1,4}|%20|\+|[\"']?\s{0,3}[:=]\s{0,3}[\"']?)([\w.~+/-]{12,}=*))",
    ),
    (
        "basic_auth",
        r"(?i)(?:authorization[\"'\\]{0,2}\s{0,3}[:=,]\s{0,3}[\"'\\]{0,2}\s{0,3}basic\s{1,4}([A-Za-z0-9+/_-]{6,}={0,2})"
        r"|\bbasic\s{1,4}([A-Za-z0-9+/_-]{8,}={0,2})"
        r"|\b(?:https?|wss?|ftps?|sftp|ssh|git|smtps?|imaps?|ldaps?|socks5h?)://([^\s:/@'\"<>\x60]{0,128}:[^\s/@'\"<>\x60]{1,256})@)",
    ),
    (
        "sonarqube_token",
        r"(sq[pau]_[0-9a-f]{40})|(?i:\bsonar[\w.-]{0,20}(?:login|token)[\"'\s:=]{1,6}(?:is\s)?[\"']?)([0-9a-f]{40})\b",
    ),
    (
        "jenkins_api_token",
        _LEFT + r"(11[0-9a-f]{32})\b|(?i:\bjenkins[\w.-]{0,40}[\"'\s:=]{1,6}(?:is\s)?)\b([0-9a-f]{32})\b",
    ),
    ("ansible_vault", r"(\$ANSIBLE_VAULT;[0-9]\.[0-9];[A-Z0-9]{2,16}(?:;[\w.-]{1,64})?)"),
    ("hashicorp_vault_token", _LEFT + r"(hv[sbr]\.[\w-]{20,}|[sbr]\.[A-Za-z0-9]{24})" + _RIGHT),
    ("email", r"([A-Za-z0-9._%+-]{1,64}@(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,62})\.){1,8}[A-Za-z]{2,24})"),
)


def _trimmed(hit: Hit) -> Span:
    """The value without trailing punctuation of the sentence."""
    return hit.value_start, hit.value_start + len(hit.value.rstrip(b".,:;&!?"))


_DIGIT: Final = re.compile(rb"[0-9]")
_NAME: Final = re.compile(rb"[a-z]+(?:[._][a-z_]+)+")


def _bearer(hit: Hit) -> Span | None:
    """After a bare `Bearer`, words such as "authentication" are rejected: a token has a digit, or is long."""
    first, last = _trimmed(hit)
    plain = hit.data[hit.start : hit.start + 1].lower() == b"b"
    value = hit.data[first:last]
    is_word = plain and not _DIGIT.search(value) and (len(value) < 20 or _NAME.fullmatch(value) is not None)
    return None if is_word or len(value) < 6 else (first, last)


def _basic(hit: Hit) -> Span | None:
    """After a bare `Basic`, a word is a credential only if it decodes to `user:password`."""
    plain = hit.data[hit.start : hit.start + 5].lower() == b"basic"
    return (hit.value_start, hit.value_end) if not plain or _is_user_and_password(hit.value) else None


def _is_user_and_password(value: bytes) -> bool:
    digits = value.rstrip(b"=").replace(b"-", b"+").replace(b"_", b"/")
    try:
        text = base64.b64decode(digits + b"=" * (-len(digits) % 4))
    except binascii.Error:
        return False
    return b":" in text and all(c >= 32 and c != 127 for c in text)


_CAPITALS_OF_A_NAME: Final = 6


def _vault(hit: Hit) -> Span | None:
    """`s.` and 24 letters may be a method name: half of random letters are capitals, but only a few letters of a name."""
    value = hit.value
    capitals = sum(65 <= c <= 90 for c in value)
    is_name = value[1:2] == b"." and value[2:].isalpha() and capitals <= _CAPITALS_OF_A_NAME
    return None if is_name else (hit.value_start, hit.value_end)


_FILES: Final = frozenset(
    b"png jpg jpeg gif svg webp ico avif css scss less js mjs cjs ts tsx jsx json html htm map xml yml yaml toml lock txt "
    b"service socket timer target mount path slice scope woff ttf mp4 pdf".split()
)


def _email(hit: Hit) -> Span | None:
    """`logo@2x.png` and `getty@tty1.service` are files, and `git@host` is the address of a repository."""
    local, _, domain = hit.value.partition(b"@")
    if domain.rpartition(b".")[2].lower() in _FILES or local == b"git":
        return None
    before = hit.data[max(0, hit.value_start - 1) : hit.value_start]
    if before == b"\\" and local[:1] in (b"n", b"r", b"t"):  # the letter belongs to an escape, not to the address
        local = local[1:]
    elif re.match(rb"%[0-9A-F]{2}", local):
        local = local[3:]
    return hit.value_end - len(domain) - 1 - len(local.lstrip(b".%+-")), hit.value_end


_VALIDATORS: Final[dict[str, Validator]] = {
    "private_key": key_block,
    "db_connection_string": _trimmed,
    "bearer_token": _bearer,
    "basic_auth": _basic,
    "ansible_vault": ansible_block,
    "hashicorp_vault_token": _vault,
}


def _rule(priority: int, name: str, pattern: str) -> Rule:
    if name == "email":
        return Rule(
            name, "EMAIL", "identifier", pattern, ("@",), r"[\w%+-]@[A-Za-z0-9]", priority=priority, validate=_email
        )
    return Rule(name, name.upper(), "secret", pattern, priority=priority, validate=_VALIDATORS.get(name))


BASIC: Final = tuple(_rule(priority, name, pattern) for priority, (name, pattern) in enumerate(_PATTERNS))
"""Rule ids: anthropic_key, openai_key, … email. A rule's type is its id in upper case."""
