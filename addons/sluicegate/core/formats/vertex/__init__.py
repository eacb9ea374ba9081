"""Google Vertex AI's rawPredict for Claude, as a client format."""
