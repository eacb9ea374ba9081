"""Cache: the response cache, coalescing of identical requests, prompt-cache markers."""
