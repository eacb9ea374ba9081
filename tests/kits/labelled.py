"""Secrets of the sixteen basic kinds, freshly made, and the surroundings in which people leave them."""

from __future__ import annotations

import base64
import string
from collections.abc import Callable
from random import Random
from typing import Final

from sluicegate.core.redact.scan.finder import RuleFinder, build_finder

__all__ = ["CONTEXTS", "FOLLOWERS", "KINDS", "finder_of", "in_context", "secret"]

ALNUM: Final = string.ascii_letters + string.digits
HEX: Final = "0123456789abcdef"
URLSAFE: Final = ALNUM + "-_"
ALL_PII: Final = ("email", "phone", "iban", "card", "ip", "ssn")

FOLLOWERS: Final = (*",)]}<&|:@\"'\n;` .", "\\n", "")
CONTEXTS: Final = (
    "{}",
    "please use {}",
    "token = {}",
    '{{"key": "{}',
    "export X={}",
    "login({}",
    "- name: x\n  value: {}",
    "keys: [{}",
    'json.loads("{{\\"a\\":1}}\\n{}',
    "<code>{}",
    "https://h/?k={}",
    "%20{}",
    "\tif k == '{}",
)
_LED: Final = {
    "bearer_token": (
        "Authorization: Bearer {}",
        '"authorization": "Bearer {}',
        "curl -H 'authorization: bearer {}",
        "Bearer {}",
    ),
    "basic_auth": ("Authorization: Basic {}", '"authorization": "Basic {}', "curl -H 'authorization: basic {}", "Basic {}"),
}


def _some(random: Random, length: int, alphabet: str = ALNUM) -> str:
    return "".join(random.choice(alphabet) for _ in range(length - 1)) + random.choice(HEX)


def _pem(random: Random) -> str:
    lines = [_some(random, 64, ALNUM + "+/") for _ in range(6)] + [_some(random, 30) + "=="]
    kind = random.choice(("", "RSA ", "EC ", "OPENSSH ", "ENCRYPTED "))
    return "\n".join((f"-----BEGIN {kind}PRIVATE KEY-----", *lines, f"-----END {kind}PRIVATE KEY-----"))


def _url(random: Random) -> str:
    scheme = random.choice(("postgres", "postgresql+psycopg", "mysql", "mongodb+srv", "redis", "amqps", "mssql"))
    host = f"db-{_some(random, 5).lower()}.example.com:5432"
    return f"{scheme}://{_some(random, 6)}:{_some(random, 14)}@{host}/{_some(random, 5)}"


_MAKERS: Final[dict[str, Callable[[Random], str]]] = {
    "anthropic_key": lambda r: f"sk-ant-{r.choice(('api03', 'admin01', 'oat01'))}-{_some(r, 93, URLSAFE)}AA",
    "openai_key": lambda r: r.choice(
        (f"sk-proj-{_some(r, 120, URLSAFE)}", f"sk-{_some(r, 48)}", f"sk-svcacct-{_some(r, 40)}")
    ),
    "aws_access_key": lambda r: r.choice(("AKIA", "ASIA")) + "".join(r.choices(string.ascii_uppercase + "234567", k=16)),
    "github_token": lambda r: (
        r.choice(("ghp_", "gho_", "ghu_", "ghs_", "ghr_", f"github_pat_{_some(r, 22)}_")) + _some(r, 36)
    ),
    "google_api_key": lambda r: f"AIza{_some(r, 35, URLSAFE)}",
    "stripe_key": lambda r: r.choice(("sk_live_", "sk_test_", "rk_live_")) + _some(r, 24),
    "private_key": _pem,
    "jwt": lambda r: f"eyJ{_some(r, 33, URLSAFE)}.eyJ{_some(r, 70, URLSAFE)}.{_some(r, 43, URLSAFE)}",
    "db_connection_string": _url,
    "bearer_token": lambda r: _some(r, 40, URLSAFE + "."),
    "basic_auth": lambda r: base64.b64encode(f"{_some(r, 6)}:{_some(r, 12)}".encode()).decode(),
    "sonarqube_token": lambda r: r.choice(("squ_", "sqp_", "sqa_")) + _some(r, 40, HEX),
    "jenkins_api_token": lambda r: f"11{_some(r, 32, HEX)}",
    "ansible_vault": lambda r: "\n".join(("$ANSIBLE_VAULT;1.1;AES256", *(_some(r, 80, HEX) for _ in range(4)))),
    "hashicorp_vault_token": lambda r: r.choice(
        (f"hvs.{_some(r, 95, URLSAFE)}", f"s.{_some(r, 24)}", f"hvb.{_some(r, 140)}")
    ),
    "email": lambda r: (
        f"{_some(r, 6).lower()}.{_some(r, 6).lower()}@{_some(r, 8).lower()}.{r.choice(('com', 'io', 'co.uk'))}"
    ),
}
KINDS: Final = tuple(_MAKERS)


def secret(kind: str, random: Random) -> str:
    return _MAKERS[kind](random)


def in_context(kind: str, value: str, follower: str, random: Random) -> str:
    context = random.choice(_LED.get(kind, CONTEXTS))
    return f"Hello.\n{context.format(value)}{follower}" + (random.choice(("", " and more", "\n")) if follower else "")


def finder_of(*rules: str) -> RuleFinder:
    return build_finder(rules=rules, salt=b"test", pii=ALL_PII)
