"""Byte formats: server-sent events, AWS frames, content encodings, JSON members, request signatures."""
