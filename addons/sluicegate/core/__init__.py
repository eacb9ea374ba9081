"""The pure part: bytes in, events out. No clock, socket or mitmproxy import."""
