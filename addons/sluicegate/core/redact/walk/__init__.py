"""Which strings of a request are scanned, and how they are exchanged without touching other bytes."""
