"""core/redact/restore/egress.py: tool inputs that send data away from the machine."""

from __future__ import annotations

import json

import pytest

from sluicegate.core.redact.restore.allowed_hosts import AllowedHosts
from sluicegate.core.redact.restore.egress import has_egress


@pytest.mark.parametrize(
    "command",
    [
        *(
            "curl x",
            "wget x",
            "a; nc h 1",
            "ssh h",
            "scp a h:b",
            "git push",
            "git -C a --no-pager push origin",
            "x=$(curl y)",
        ),
        *(
            "/usr/bin/curl x",
            "cu'r'l x",
            'w"g"et x',
            "cur\\l x",
            "cu\\\nrl x",
            "CURL x",
            "echo a >/dev/tcp/h/1",
            "sudo ssh h",
        ),
        *("open HTTPS://x", "x ftp://h", "python3 -c 'import urllib.request'", "node -e 'fetch(`x`)'", "docker push x"),
        *("http POST h a=b", "a && https h", "az login -p x", "echo x | mail -s a b@c", "mail b@c < x", "getent hosts x.h"),
        *("ruby -rsocket -e 'TCPSocket.new'", "perl -e 'use IO::Socket::INET'", "node -e 'require(\"https\")'", "ftp h"),
        *("python3 -c 'import smtplib'", "ruby -ropen-uri -e 1", "heroku config:set K=x", "grpcurl h:1", "smbclient //h/x"),
        *("npm publish", "rsync a h:", "openssl s_client", "dig a.b", "find . -exec curl {} +", "echo|curl"),
    ],
)
def test_egress(command: str) -> None:
    """Programs that send, addresses, and names split by quotes."""
    assert has_egress(json.dumps({"command": command}))


@pytest.mark.parametrize(
    "command",
    [
        *(
            "ls -l",
            "echo hi > .env",
            "git commit -m x",
            "git add push.txt; git status",
            "grep -r curly .",
            "cat ssh_config",
        ),
        *(
            "python -m http_server_notes",
            "psql -c 'select 1'",
            "export HOST=db",
            "sed -i s/a/b/ f",
            "cat nc.txt",
            "make test",
            "grep az f; cat https.conf; vi az.txt",
            "sed -i 's/http/https/' mail.conf",
            "node -e 'require(\"fs\")'",
        ),
    ],
)
def test_no_egress(command: str) -> None:
    """Everyday commands on the machine."""
    assert not has_egress(json.dumps({"command": command}))


def test_input_that_cannot_be_parsed_counts_as_egress() -> None:
    """Half an input, or one nested too deeply."""
    assert has_egress('{"command": "ls')
    assert has_egress("[" * 100_000 + "]" * 100_000)


def test_every_string_counts() -> None:
    """A list of arguments, nested objects, keys."""
    assert has_egress('{"args": ["a", {"curl": 1}]}')


def test_input_that_cannot_be_parsed_is_not_an_allowed_destination() -> None:
    """Half an input stays egress, whatever hosts are allowed."""
    assert has_egress('{"command": "curl https://api.example.com', AllowedHosts(["api.example.com"]))
