"""What tests of several folders share: gates, upstreams, databases, clients, texts."""
