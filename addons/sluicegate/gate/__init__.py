"""The one mitmproxy addon: it wires stages, proxy core, endpoints and reload together."""
