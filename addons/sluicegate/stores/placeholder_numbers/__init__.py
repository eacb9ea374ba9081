"""Stores of placeholder numbers, which number the hidden values of a conversation: memory, SQLite, Redis."""
