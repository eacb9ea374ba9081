"""A Messages client on a Chat Completions provider: request there, response and stream back."""
