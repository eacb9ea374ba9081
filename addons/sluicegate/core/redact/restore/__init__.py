"""Restores the values in an answer: in its texts and, by policy, in its tool inputs.

This folder handles answers: which blocks and tools get values, event streams and JSON, placeholders in pieces.
"""
