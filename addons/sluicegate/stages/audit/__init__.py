"""Audit: one record per request."""
