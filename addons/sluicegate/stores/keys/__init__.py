"""Where virtual keys live: SQLite on one machine, PostgreSQL for several."""
