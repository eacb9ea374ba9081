"""What counts as a secret: one `Rule` each (pattern, keywords, validator), as tables or read from gitleaks rule files.

Here belongs anything that describes a value to find; running rules over a text is the job of `scan`.
"""
