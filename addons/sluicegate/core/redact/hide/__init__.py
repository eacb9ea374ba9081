"""Replacing found values by placeholders, the same one each time in a conversation."""
