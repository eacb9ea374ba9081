"""Translation between client formats: one folder per pair (client_provider); modules that pairs share are beside them."""
