"""Runs rules over one text and returns findings: prefilter, keyword windows, escapes, base64, overlap resolution.

This folder defines how a text is searched; `rules` describes the values to find, `walk` selects the texts of a body.
"""
