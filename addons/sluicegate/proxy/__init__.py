"""The part inside mitmproxy's core: sealed HTTP layer, retrying streams, connections, timers."""
