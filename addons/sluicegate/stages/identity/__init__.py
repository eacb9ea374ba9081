"""Identity: who calls; the gate's own credentials are stripped from the request."""
