"""Runs rules over one text and returns findings: prefilter, keyword windows, escapes, base64, overlap resolution.

Here belongs how a text is searched; what is searched for is in `rules`, which strings of a body are texts is in `walk`.
"""
