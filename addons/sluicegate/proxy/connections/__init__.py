"""Connections to upstreams: where they may lead, pool, time limits."""
