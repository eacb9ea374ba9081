"""The response cache's key, which requests bypass it, and which headers a replay has."""
