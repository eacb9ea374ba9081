"""Thin adapters: what each stage of the Chain does with an exchange."""
