"""Replaces the found values of a request by placeholders, the same ones on every turn of a conversation.

Here belongs everything about outgoing requests: other spellings of known values, placeholder names, headers, line numbers.
"""
