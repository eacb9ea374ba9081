"""gate/entry.py: the exchange of a new request, and where the request would go by itself."""

import pytest

from sluicegate.exchange.credentials import take_credentials
from sluicegate.gate.entry import open_exchange
from sluicegate.gate.policy import Policy
from sluicegate.services.services import Services
from sluicegate.testing import make_flow, quiet

POLICY = Policy(quiet(), (), Services({}))


@pytest.mark.parametrize("host", ["api.anthropic.com", "API.Anthropic.com", "api.anthropic.com."])
def test_anthropic_is_never_asked_in_plain_text(host: str) -> None:
    """However its name is spelled, the origin is TLS on 443, and a provider's host: stages look at the request."""
    flow = make_flow(mode="regular", origin=(False, host, 80))
    x = open_exchange(flow, POLICY, ())
    assert x.origin == (True, host, 443)
    assert not x.client_chose


def test_tls_to_a_providers_name_counts() -> None:
    """CONNECT to an address, and a provider's name in the TLS handshake: the name decides."""
    flow = make_flow(mode="regular", origin=(True, "192.0.2.7", 443))
    flow.client_conn.sni = "api.anthropic.com"
    assert open_exchange(flow, POLICY, ()).origin == (True, "api.anthropic.com", 443)


def test_any_other_host_is_the_clients_choice() -> None:
    """Its origin stays as the client named it."""
    x = open_exchange(make_flow(mode="regular", origin=(False, "example.org", 8080)), POLICY, ())
    assert x.origin == (False, "example.org", 8080)
    assert x.client_chose


def test_credentials_are_on_the_exchange_alone() -> None:
    """The caller takes them off the flow first."""
    flow = make_flow(headers=[(b"x-api-key", b"sk-ant-planted")])
    x = open_exchange(flow, POLICY, take_credentials(flow.request.headers))
    assert x.client_credentials == ((b"x-api-key", b"sk-ant-planted"),)
    assert "x-api-key" not in flow.request.headers
