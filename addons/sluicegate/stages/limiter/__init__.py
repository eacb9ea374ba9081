"""Limiter: rates, concurrency and budgets; reserves before a call, settles after it."""
