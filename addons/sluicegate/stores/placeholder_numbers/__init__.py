"""Which number a hidden value has in its conversation, in memory, SQLite or Redis."""
