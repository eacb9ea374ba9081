"""One client request's typed state, and the small types that gate, proxy and stages share."""
