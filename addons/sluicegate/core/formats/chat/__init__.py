"""OpenAI's Chat Completions, as a client format."""
