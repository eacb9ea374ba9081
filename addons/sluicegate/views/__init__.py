"""What mitmweb and mitmproxy's console show of an exchange."""
