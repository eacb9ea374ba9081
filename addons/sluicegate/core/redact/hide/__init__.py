"""Replaces the found values of a request by placeholders, the same ones on every turn of a conversation.

This folder handles outgoing requests: other spellings of known values, placeholder names, headers, line numbers.
"""
