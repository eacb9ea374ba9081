"""A Chat Completions client on a Messages provider: request there, response and stream back."""
