"""Egress detection: whether a tool's input sends data away from the machine, to a host that is not allowed.

A guard against accidents and plain tricks: a shell has more ways out than any list.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, Final

from sluicegate.core.redact.restore.allowed_hosts import AllowedHosts

__all__ = ["has_egress"]

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


_NONE: Final = AllowedHosts()


def has_egress(document: str, allowed: AllowedHosts = _NONE) -> bool:
    """Whether a tool's input (JSON, with its placeholders) sends data to a host that is not allowed.

    True for input that cannot be parsed.
    """
    try:
        value = json.loads(document, strict=False)
    except (ValueError, RecursionError):
        return True
    return any(_sends(text) and not (allowed and allowed.allows_all(text, _sends)) for text in _texts(value))


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
