"""Anthropic's Messages API as a client format: the one that stages read and write."""
