"""Scrubber: hides secrets in requests, restores them in answers."""
