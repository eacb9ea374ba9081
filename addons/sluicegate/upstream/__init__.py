"""The proxy-core part: layers and streams inside mitmproxy."""
