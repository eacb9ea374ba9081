"""Restores the values in an answer: in its texts and, by policy, in its tool inputs.

Here belongs everything about answers: which blocks and tools get values, streams and JSON, placeholders that arrive in
pieces.
"""
