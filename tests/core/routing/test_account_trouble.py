"""core/routing/account_trouble.py: errors of 400 and 403 that concern the key and not the request."""

from __future__ import annotations

import pytest

from sluicegate.core.routing.account_trouble import account_trouble

BAD, DENIED = "invalid_request_error", "permission_error"
TROUBLES = [
    (400, BAD, "Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing.", "key.spent"),
    (400, BAD, "You have reached your specified API usage limits. You will regain access on 2027-01-01.", "key.spent"),
    (403, DENIED, "Key limit exceeded (total limit). Manage it on the keys page", "key.spent"),
    (403, DENIED, "Your newly created team doesn't have any credits yet.", "key.spent"),
    (403, DENIED, "Your team 12-ab has either used all available credits or reached its limit.", "key.spent"),
    (400, "billing_error", "anything", "key.spent"),
    (403, DENIED, "This API method requires billing to be enabled.", "key.spent"),
    (400, BAD, "This organization has been disabled.", "key.refused"),
    (400, BAD, "Organization has been restricted. Please reach out to support", "key.refused"),
    (403, DENIED, "OAuth token has been revoked. Please obtain a new token.", "key.refused"),
    (403, "authentication_error", "anything", "key.refused"),
    (403, DENIED, "Project `proj_1` does not have access to model `gpt-5`", "key.model_denied"),
    (403, DENIED, "You don't have access to the model with the specified model ID.", "key.model_denied"),
    (
        403, DENIED, "User: arn:aws:iam::1:user/u is not authorized to perform: bedrock:InvokeModel on resource: x",
        "key.model_denied",
    ),
    (403, DENIED, "Permission 'aiplatform.endpoints.predict' denied on resource", "key.model_denied"),
]  # fmt: skip


@pytest.mark.parametrize(("status", "kind", "message", "alarm"), TROUBLES)
def test_trouble_with_the_account(status: int, kind: str, message: str, alarm: str) -> None:
    """By its type or by its text; only trouble with one model leaves the key to the others."""
    found = account_trouble(status, kind, message)
    assert found
    assert found.alarm == alarm
    assert found.of_model is (alarm == "key.model_denied")
    assert found.for_s >= 600


@pytest.mark.parametrize(
    ("status", "kind", "message"),
    [
        (400, BAD, "max_tokens: 999999 > 64000"),
        (400, BAD, "tools.0.name: 'Your credit balance is too low' does not match"),
        (400, BAD, ""),
        (403, DENIED, "Request not allowed"),
        (404, "not_found_error", "Your credit balance is too low"),
        (429, "billing_error", "Your credit balance is too low"),
    ],
)
def test_trouble_with_the_request(status: int, kind: str, message: str) -> None:
    """What a client wrote, and the error quotes, cannot bench a key; other statuses have rules of their own."""
    assert account_trouble(status, kind, message) is None
