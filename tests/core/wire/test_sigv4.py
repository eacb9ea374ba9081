"""core/wire/sigv4.py: the same signatures as botocore's, for every case."""

from __future__ import annotations

import datetime
import itertools

import botocore.auth
import pytest
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st

from sluicegate.core.wire.sigv4 import Keys, sign

NOW = 1_795_000_000.0

PATHS = (
    "/",
    "/model/us.anthropic.claude-opus-4-1-20250805-v1%3A0/invoke",
    "/model/arn%3Aaws%3Abedrock%3Aus-west-2%3A123%3Ainference-profile%2Fx/invoke-with-response-stream",
    "/a/../b//c/./d/?z=1&a=2&a=1&empty=&flag",
    "/sp%20ace/é~-._?q=%2Fx",
    "/trailing/",
)
BODIES = (b"", b'{"a":"\xc3\xa9"}')
SESSIONS = (None, "token/+==")
REGIONS = (("us-west-2", "bedrock"), ("eu-central-1", "bedrock-mantle"))


def theirs(keys: Keys, method: str, url: str, headers: dict[str, str], body: bytes, region: str, service: str) -> str:
    """What botocore writes into Authorization at NOW."""
    request = AWSRequest(method, url, headers=headers, data=body)
    signer = botocore.auth.SigV4Auth(Credentials(keys.access_key, keys.secret_key, keys.session_token), service, region)
    with pytest.MonkeyPatch.context() as patch:
        moment = datetime.datetime.fromtimestamp(NOW, datetime.UTC)
        patch.setattr(botocore.auth, "get_current_datetime", lambda: moment)
        signer.add_auth(request)
    return str(request.headers["Authorization"])


def ours(
    keys: Keys, method: str, host: str, path: str, headers: dict[str, str], body: bytes, region: str, service: str
) -> str:
    fields = sign(
        keys,
        method=method,
        host=host,
        path=path,
        headers=headers.items(),
        body=body,
        region=region,
        service=service,
        now=NOW,
    )
    return dict(fields)["authorization"]


@pytest.mark.parametrize(("path", "body", "session", "where"), list(itertools.product(PATHS, BODIES, SESSIONS, REGIONS)))
def test_forty_eight_cases_are_signed_as_botocore_signs_them(
    path: str, body: bytes, session: str | None, where: tuple[str, str]
) -> None:
    """Odd paths, queries, temporary keys, both services."""
    keys = Keys("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", session)
    host = f"{where[1]}.{where[0]}.amazonaws.com"
    headers = {"Content-Type": "application/json", "X-Amz-Extra": "  two   words "}
    expected = theirs(keys, "POST", f"https://{host}{path}", headers, body, *where)
    assert ours(keys, "POST", host, path, headers, body, *where) == expected


@given(
    st.text(st.sampled_from("ab/.~%-_ é:"), max_size=20),
    st.lists(st.tuples(st.text("ab-", min_size=1, max_size=3), st.text("ab%20", max_size=3)), max_size=4),
    st.binary(max_size=50),
    st.sampled_from(["h.test", "127.0.0.1:8080"]),
)
def test_any_path_query_and_body(path: str, query: list[tuple[str, str]], body: bytes, host: str) -> None:
    """Equal for whatever a path may hold."""
    keys = Keys("a", "s")
    full = f"/{path}?{'&'.join(f'{k}={v}' for k, v in query)}"
    assert ours(keys, "POST", host, full, {}, body, "r", "s") == theirs(
        keys, "POST", f"http://{host}{full}", {}, body, "r", "s"
    )


def test_what_is_sent_besides_the_signature() -> None:
    """The date, and the session token where there is one; keys are not in the object's words."""
    keys = Keys("a", "secret", "token")
    fields = dict(sign(keys, method="GET", host="h", path="/", body=b"", region="r", service="s", now=0))
    assert fields["x-amz-date"] == "19700101T000000Z"
    assert fields["x-amz-security-token"] == "token"
    assert "secret" not in repr(keys)
    assert "token" not in repr(keys)
