"""What counts as a secret: one `Rule` each (pattern, keywords, validator), as tables or read from gitleaks rule files.

This folder describes the values to find; `scan` runs the rules over a text.
"""
