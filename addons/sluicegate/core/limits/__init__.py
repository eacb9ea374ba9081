"""Limits and budgets, decided without I/O: which counters a request meets, what it reserves, what it is told."""
