"""`sluicegate run` in an environment that names a proxy."""

import pytest

from sluicegate.cli.run import unused_proxy
from sluicegate.settings import Settings
from sluicegate.settings.providers import Provider

THROUGH = Settings(providers={"a": Provider(kind="anthropic", proxy="none")})


@pytest.mark.parametrize(
    ("environ", "settings", "name"),
    [
        ({}, Settings(), None),
        ({"HTTPS_PROXY": ""}, Settings(), None),
        ({"HTTPS_PROXY": "http://u:hunter2@proxy.corp:3128"}, Settings(), "HTTPS_PROXY"),
        ({"https_proxy": "http://u:hunter2@proxy.corp:3128"}, Settings(), "https_proxy"),
        ({"HTTPS_PROXY": "http://u:hunter2@proxy.corp:3128"}, THROUGH, None),
    ],
)
def test_a_proxy_that_is_not_used_is_named(environ: dict[str, str], settings: Settings, name: str | None) -> None:
    """With what to set instead, and without its value; not where the configuration has decided about proxies."""
    hint = unused_proxy(environ, settings)
    assert (hint is None) == (name is None)
    if hint and name:
        assert hint.startswith(f"{name} is set, but the gate does not use it")
        assert "--upstream" in hint
        assert "hunter2" not in hint
