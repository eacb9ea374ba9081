"""Secrets in text: finding them, hiding them behind placeholders, and putting them back."""
