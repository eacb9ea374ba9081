"""Exchanges in mitmweb and in mitmproxy's console."""
