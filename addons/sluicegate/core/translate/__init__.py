"""Translation between client formats, one folder per pair (client_provider), what pairs share beside them."""
