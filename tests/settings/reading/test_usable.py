"""From a file to settings in force, or every reason against it."""

from pathlib import Path

import pytest

from sluicegate.settings import ConfigError, load_usable


def test_the_two_steps(tmp_path: Path) -> None:
    """Settings that load are still refused for a missing secret, with line."""
    file = tmp_path / "gate.yaml"
    file.write_text("identity:\n  admin_token: env:TOKEN\n")
    with pytest.raises(ConfigError, match=r"gate.yaml:2: identity.admin_token: env:TOKEN is not set"):
        load_usable(file, {})
    assert load_usable(file, {"TOKEN": "x"}).identity.admin_token is not None
