"""Reads a body as a JSON document and walks the strings to scan, by the structure of each API.

This folder knows the structure of bodies; `scan` only sees single texts.
"""
