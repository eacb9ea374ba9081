"""mitmproxy's HTTP/1 and HTTP/2 connection layers, with our fixes."""
