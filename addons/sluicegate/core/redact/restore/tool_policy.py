"""Which tool inputs get their values back: those that stay on the client's machine.

A policy maps name patterns to `True`, `False` or `"no-egress"`: then the input is looked at as a whole, and gets its values
only if nothing in it sends anything anywhere but to hosts that are allowed. That look is a guard against accidents and
plain tricks; a shell has more ways out than any list.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any, Final, Literal

from sluicegate.core.redact.restore.allowed_hosts import AllowedHosts

__all__ = ["DEFAULTS", "ToolPolicy", "ToolRule", "has_egress"]

ToolRule = bool | Literal["no-egress"]

DEFAULTS: Final[Mapping[str, ToolRule]] = {
    "Read": True,
    "Edit": True,
    "MultiEdit": True,
    "Write": True,
    "NotebookEdit": True,
    "Grep": True,
    "Glob": True,
    "Bash": "no-egress",
    "*": False,
}

_PROGRAMS: Final = (
    *("curl", "wget", "aria2c", "xh", "lynx", "w3m", "nc", "ncat", "netcat", "socat", "telnet", "openssl"),
    *("ssh", "scp", "sftp", "tftp", "lftp", "rsync", "rclone", "mosh", "sendmail", "mailx", "mutt", "msmtp"),
    *("dig", "nslookup", "drill", "ping6?", "traceroute", "gh", "glab", "aws", "gsutil", "gcloud", "kubectl"),
    *("s3cmd", "ngrok", "cloudflared", "invoke-webrequest", "invoke-restmethod", "iwr"),
    *("ftp", "smbclient", "grpcurl", "websocat", "mosquitto_pub", "kcat", "kafkacat", "doctl", "heroku", "vercel"),
    *("netlify", "wrangler", "flyctl"),
)
_EGRESS: Final = re.compile(
    rf"(?:^|[^a-z0-9_.-])(?:{'|'.join(_PROGRAMS)})(?:\.exe)?(?![a-z0-9_=-]|\.[a-z])"
    r"|\bgit\b[^\n;|&]{0,200}\b(?:push|fetch|pull|clone|ls-remote|send-email)(?![\w.-])"
    r"|\b(?:docker|podman|npm|pnpm|yarn|cargo|gem|twine|poetry|uv)\s+(?:push|publish|login|upload)\b"
    r"|\b(?:https?|ftps?|wss?)://"
    r"|(?:^|[;&|(]|\bxargs)\s*(?:https?|az)\s"  # HTTPie, Azure
    r"|\bmail\s+(?:-s\b|\S+@)|\bgetent\s+(?:hosts|ahosts)"
    r"|/dev/(?:tcp|udp)/"
    r"|\b(?:urllib|requests\.|http\.client|httpx|aiohttp|socket\.|net::http|fsockopen|fetch\(|net\.connect)"
    r"|\b(?:smtplib|ftplib|paramiko|io::socket|lwp::|tcpsocket|net/http|xmlhttprequest)|open-uri"
    r"|['\"](?:node:)?(?:https?|http2|net|tls|dgram|dns)['\"]\s*\)",
    re.IGNORECASE,
)
_QUOTING: Final = re.compile(r"\\\r?\n|[\"'`\\]|\$@|\$\*")


class ToolPolicy:
    """The configuration's patterns, then the defaults: a full name first, then patterns in their order."""

    def __init__(self, configured: Mapping[str, ToolRule] | None = None, allow_hosts: Sequence[str] = ()) -> None:
        """`allow_hosts`: host names, or `*.example.com`, to which "no-egress" lets an input send."""
        self.hosts = AllowedHosts(allow_hosts)
        given = dict(configured or {})
        self._exact = {**({} if "*" in given else _only(DEFAULTS, exact=True)), **_only(given, exact=True)}
        self._patterns = [*_only(given, exact=False).items(), *_only(DEFAULTS, exact=False).items()]
        self._patterns.sort(key=lambda pair: pair[0] == "*")  # stable: the catch-all comes last wherever it was written

    def rule(self, name: str) -> ToolRule:
        if name in self._exact:
            return self._exact[name]
        return next((rule for pattern, rule in self._patterns if fnmatchcase(name, pattern)), False)


def _only(rules: Mapping[str, ToolRule], *, exact: bool) -> dict[str, ToolRule]:
    return {name: rule for name, rule in rules.items() if (not set(name) & set("*?[")) == exact}


_NOWHERE: Final = AllowedHosts()


def has_egress(document: str, allowed: AllowedHosts = _NOWHERE) -> bool:
    """Whether a tool's input (a JSON text, its placeholders not restored) has anything that sends something away, to
    another host than those allowed.

    What can not be read counts as such.
    """
    try:
        value = json.loads(document, strict=False)
    except (ValueError, RecursionError):
        return True
    return any(_sends(text) and not (allowed and allowed.bound_all(text, _sends)) for text in _texts(value))


def _sends(text: str) -> bool:
    return _EGRESS.search(text) is not None or _EGRESS.search(_QUOTING.sub("", text)) is not None


def _texts(value: Any) -> Iterator[str]:
    stack = [value]
    while stack:
        item = stack.pop()
        if isinstance(item, str):
            yield item
        elif isinstance(item, dict):
            stack += item.keys()
            stack += item.values()
        elif isinstance(item, list):
            stack += item
