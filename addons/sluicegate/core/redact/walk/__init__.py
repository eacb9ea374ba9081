"""Reads a body as a JSON document and walks the strings to scan, by the structure of each API.

Here belongs the structure of bodies; `scan` sees single texts only.
"""
