"""Anthropic's Messages API: the format that the stages think in."""
