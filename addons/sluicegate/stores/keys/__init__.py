"""Stores of virtual keys: SQLite for one machine, PostgreSQL for several."""
