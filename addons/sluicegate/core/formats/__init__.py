"""Client formats: one folder each, listed in registry.py; surfaces.py finds the format of a request by its path."""
