"""One page each: what it shows, as JSON, text or events."""
